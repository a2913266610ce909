-- restore_failures: puts the failed events of an entry that is gone on the dead stream.
-- KEYS[1] the entry's stream   KEYS[2] dead stream   KEYS[3] its totals   ARGV[1] entry id   ARGV[2] events   ARGV[3] msgpack
-- While the entry is there, it is pending: whoever claims it parks its failures. Returns 1, or 0 then.
local function restore_failures(keys, argv)
  if #redis.call('XRANGE', keys[1], argv[1], argv[1]) > 0 then return 0 end
  local time = redis.call('TIME')
  append(keys[2], keys[3], time[1] * 1000000 + time[2], tonumber(argv[2]), argv[3])
  return 1
end
