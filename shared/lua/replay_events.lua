-- replay_events: puts failed events back on their stream as one entry. They were accepted once: no limit counts them, the
-- early filter, which knows their ids, is not asked, and no audit record is written here.
-- KEYS[1] events stream   KEYS[2] its totals   ARGV[1] events   ARGV[2] blocks, msgpack
-- Returns the id of the entry.
local function replay_events(keys, argv)
  local time = redis.call('TIME')
  local ms, added = append(keys[1], keys[2], time[1] * 1000000 + time[2], tonumber(argv[1]), argv[2])
  return string.format('%.0f-%.0f', ms, added)
end
