-- The exact sliding window: no half-open window of window_us holds more than `limit` admissions.
--
-- The list holds the times of the admissions still inside the window, newest first, so its memory is bounded by `limit`
-- integers, and it expires with the window. A call opens a window once, admits from it any number of times, and closes it.

-- open_window(key, limit, window_us, now_us): drops what has left the window and counts the rest.
local function open_window(key, limit, window_us, now_us)
  local newest = tonumber(redis.call('LINDEX', key, 0) or 0)
  if newest > now_us then now_us = newest end -- the server's clock stepped back: time stands still instead
  local horizon = now_us - window_us
  local oldest = redis.call('LINDEX', key, -1)
  if oldest and tonumber(oldest) <= horizon then
    -- The first place that has left, by bisection; then one LTRIM, which reads nothing, however much has left.
    local low, high = 0, redis.call('LLEN', key) - 1
    while low < high do
      local middle = math.floor((low + high) / 2)
      if tonumber(redis.call('LINDEX', key, middle)) <= horizon then high = middle else low = middle + 1 end
    end
    if low == 0 then redis.call('UNLINK', key) else redis.call('LTRIM', key, 0, low - 1) end
    oldest = redis.call('LINDEX', key, -1)
  end
  return {
    key = key, limit = limit, window_us = window_us, now_us = now_us,
    used = redis.call('LLEN', key), admitted = 0, oldest = tonumber(oldest or now_us),
  }
end

-- admit_one(window): whether one more is admitted.
local function admit_one(window)
  if window.used >= window.limit then return false end
  window.used = window.used + 1
  window.admitted = window.admitted + 1
  return true
end

-- left_in(window): how many more are admitted, and the microseconds until the oldest admission leaves the window.
local function left_in(window)
  return math.max(window.limit - window.used, 0), math.ceil(window.oldest + window.window_us - window.now_us)
end

-- close_window(window): writes the admissions down.
local function close_window(window)
  local now = string.format('%.0f', window.now_us)
  for from = 1, window.admitted, 1000 do
    local times = {}
    for k = 1, math.min(1000, window.admitted - from + 1) do times[k] = now end
    redis.call('LPUSH', window.key, unpack(times))
  end
  if window.admitted > 0 then redis.call('PEXPIRE', window.key, math.ceil(window.window_us / 1000) + 1000) end
end
