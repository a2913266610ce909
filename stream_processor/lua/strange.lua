-- strange: which entries are no longer this consumer's to store: others took them over, and may have settled them since.
-- KEYS[1] stream   KEYS[2] its totals   ARGV[1] group   ARGV[2] consumer   ARGV[3..] ids
-- An id is <ms>-<events ever added>: one beyond what was ever added is of an earlier life of Redis, whose data are gone;
-- nobody else has it. Those that are this consumer's are kept for it, as by keep. Returns the ids of the others.
local function strange(keys, argv)
  local added, found = tonumber(redis.call('HGET', keys[2], 'added') or 0), {}
  for i = 3, #argv do
    local id = argv[i]
    local pending = redis.pcall('XPENDING', keys[1], argv[1], id, id, 1, argv[2])
    if not pending.err and #pending > 0 then
      redis.call('XCLAIM', keys[1], argv[1], argv[2], 0, id, 'JUSTID')
    elseif tonumber(string.match(id, '-(%d+)$')) <= added then
      found[#found + 1] = id
    end
  end
  return found
end
