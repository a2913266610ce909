-- take_lost: takes pending ids off the list whose entries another hand has deleted or trimmed: nobody can store them.
-- KEYS[1] stream   ARGV[1] group   ARGV[2..] ids
-- Only settling acknowledges, and it deletes in the same step; so an id that is pending and has no entry is a loss.
-- Returns those ids.
local function take_lost(keys, argv)
  local lost = {}
  for i = 2, #argv do
    local id = argv[i]
    if #redis.call('XPENDING', keys[1], argv[1], id, id, 1) > 0 and #redis.call('XRANGE', keys[1], id, id) == 0 then
      redis.call('XACK', keys[1], argv[1], id)
      lost[#lost + 1] = id
    end
  end
  return lost
end
