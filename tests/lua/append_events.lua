-- append_events: an entry of n events as the gateway would add it, for tests.
-- KEYS[1] stream   KEYS[2] its totals   ARGV[1] n   ARGV[2] blob
local function append_events(keys, argv)
  local time = redis.call('TIME')
  return {append(keys[1], keys[2], time[1] * 1000000 + time[2], tonumber(argv[1]), argv[2])}
end
