-- admit(key, limit, window_us, now_us): the exact sliding window.
--
-- Guarantee: no half-open window of window_us holds more than `limit` admissions. The list holds the times of the
-- admissions still inside the window, newest first, so its memory is bounded by `limit` integers, and it expires with it.
-- Returns admitted (boolean), remaining, and the microseconds until the oldest admission leaves the window.
local function admit(key, limit, window_us, now_us)
  local newest = tonumber(redis.call('LINDEX', key, 0) or 0)
  if newest > now_us then now_us = newest end -- the server's clock stepped back: time stands still instead
  local horizon = now_us - window_us
  for _, step in ipairs({1024, 32, 1}) do -- large steps first: a full window that ended is dropped in few calls
    local edge = redis.call('LINDEX', key, -step)
    while edge and tonumber(edge) <= horizon do
      redis.call('RPOP', key, step)
      edge = redis.call('LINDEX', key, -step)
    end
  end
  local used = redis.call('LLEN', key)
  local admitted = used < limit
  if admitted then
    redis.call('LPUSH', key, string.format('%.0f', now_us))
    redis.call('PEXPIRE', key, math.ceil(window_us / 1000) + 1000)
    used = used + 1
  end
  local oldest = tonumber(redis.call('LINDEX', key, -1) or now_us)
  return admitted, math.max(limit - used, 0), oldest + window_us - now_us
end
