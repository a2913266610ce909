-- park: moves the failed events of one entry to the dead stream and acknowledges the entry, atomically.
-- The entry's other events are committed before this is called.
-- KEYS[1] stream   KEYS[2] its totals   KEYS[3] dead stream   KEYS[4] its totals   KEYS[5] parked events
-- ARGV[1] group   ARGV[2] entry id   ARGV[3] events of the entry   ARGV[4] failed events   ARGV[5] these, msgpack
-- ARGV[6] seconds for which names stay   ARGV[7] names that stay at most, the latest
-- ARGV[8..] names in the set of parked events, where those look who wait for them: 'client NUL event_id', or the entry's id
-- when none of it could be read. They stay for as long as the early filter may know the event: a repeat of it is told that
-- the first one is settled, and must be told that it failed.
-- Returns 1; 0 when the entry is no longer pending: then another consumer has done this.
local function park(keys, argv)
  if redis.call('XACK', keys[1], argv[1], argv[2]) == 0 then return 0 end
  local time = redis.call('TIME')
  append(keys[3], keys[4], time[1] * 1000000 + time[2], tonumber(argv[4]), argv[5])
  redis.call('XDEL', keys[1], argv[2])
  count_settled(keys[2], argv[3])
  for i = 8, #argv do redis.call('ZADD', keys[5], time[1], argv[i]) end
  redis.call('ZREMRANGEBYSCORE', keys[5], '-inf', time[1] - argv[6])
  redis.call('ZREMRANGEBYRANK', keys[5], 0, -1 - argv[7])
  redis.call('EXPIRE', keys[5], argv[6])
  return 1
end
