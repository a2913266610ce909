-- park: moves the failed events of one entry to the dead stream and acknowledges the entry, atomically.
-- The entry's other events are committed before this is called.
-- KEYS[1] stream   KEYS[2] its totals   KEYS[3] dead stream   KEYS[4] its totals   KEYS[5] parked events
-- ARGV[1] group   ARGV[2] entry id   ARGV[3] events of the entry   ARGV[4] failed events   ARGV[5] these, msgpack
-- ARGV[6..] their names in the set of parked events, where those look who wait for them: 'client NUL event_id', or the
-- entry's id when none of it could be read. They stay there for two hours, which is longer than anyone asks.
-- Returns 1; 0 when the entry is no longer pending: then another consumer has done this.
local PARKED_SECONDS = 7200

local function park(keys, argv)
  if redis.call('XACK', keys[1], argv[1], argv[2]) == 0 then return 0 end
  local time = redis.call('TIME')
  append(keys[3], keys[4], time[1] * 1000000 + time[2], tonumber(argv[4]), argv[5])
  redis.call('XDEL', keys[1], argv[2])
  redis.call('HINCRBY', keys[2], 'settled', argv[3])
  for i = 6, #argv do redis.call('ZADD', keys[5], time[1], argv[i]) end
  redis.call('ZREMRANGEBYSCORE', keys[5], '-inf', time[1] - PARKED_SECONDS)
  redis.call('EXPIRE', keys[5], PARKED_SECONDS)
  return 1
end
