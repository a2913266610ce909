-- resume_stream: takes a stream's hold away, if there is one, and tells the processors that halted by themselves to try again.
-- KEYS[1] hold
-- Returns the fields of the hold that was there: none without one.
local function resume_stream(keys, argv)
  local held = {}
  if redis.call('HEXISTS', keys[1], 'kind') == 1 then held = redis.call('HGETALL', keys[1]) end
  redis.call('HDEL', keys[1], 'kind', 'by', 'reason', 'since_ms')
  redis.call('HINCRBY', keys[1], 'resumes', 1)
  return held
end
