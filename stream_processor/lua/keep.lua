-- keep: resets the idle time of entries that are still this consumer's, so that work in hand is not taken over.
-- KEYS[1] stream   ARGV[1] group   ARGV[2] consumer   ARGV[3..] ids
-- An id that another consumer has taken over stays there. Returns the entries kept.
local function keep(keys, argv)
  local kept = 0
  for i = 3, #argv do
    if #redis.call('XPENDING', keys[1], argv[1], argv[i], argv[i], 1, argv[2]) > 0 then
      redis.call('XCLAIM', keys[1], argv[1], argv[2], 0, argv[i], 'JUSTID')
      kept = kept + 1
    end
  end
  return kept
end
