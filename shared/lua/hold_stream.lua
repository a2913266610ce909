-- hold_stream: makes a stream's processors stand still until somebody resumes it.
-- KEYS[1] hold   ARGV[1] kind   ARGV[2] by   ARGV[3] reason
-- A hold that is there stays as it is: the first reason is the one to look at. Returns 1, or 0 when there was one.
local function hold_stream(keys, argv)
  if redis.call('HEXISTS', keys[1], 'kind') == 1 then return 0 end
  local time = redis.call('TIME')
  redis.call('HSET', keys[1], 'kind', argv[1], 'by', argv[2], 'reason', argv[3],
    'since_ms', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
  return 1
end
