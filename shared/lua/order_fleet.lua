-- order_fleet: sets how many processors there are to be, in place of whatever was ordered before.
-- KEYS[1] target   ARGV[1] count   ARGV[2] least   ARGV[3] most   ARGV[4] target lag in seconds (2 to 4: automatic only)
-- Returns the order's version, the time in microseconds: no other order has it.
local function order_fleet(keys, argv)
  local time = redis.call('TIME')
  local version = string.format('%.0f', time[1] * 1000000 + time[2])
  redis.call('DEL', keys[1])
  redis.call('HSET', keys[1], 'count', argv[1], 'version', version)
  if argv[2] then
    redis.call('HSET', keys[1], 'least', argv[2], 'most', argv[3], 'target_lag_seconds', argv[4])
  end
  return version
end
