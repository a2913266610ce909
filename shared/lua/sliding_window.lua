-- The exact sliding window: no half-open window of window_us holds more than `limit` admissions.
--
-- The list holds the calls that admitted something inside the window, newest first: each as its time, the admissions before
-- it, and its own. So the newest and the oldest tell how many there are, and memory is bounded by `limit` elements, mostly
-- far fewer. It expires with the window. A call opens a window once, admits from it any number of times, and closes it.
-- "Before" starts at 0 in a new list and grows by admissions: a list that is never empty reaches 2^53, where Lua's numbers
-- end, after 285 years of a million a second.
local RUN = '>I7I7I4'

-- open_window(key, limit, window_us, now_us): drops what has left the window and counts the rest.
local function open_window(key, limit, window_us, now_us)
  local before, used, oldest_us = 0, 0, nil
  local newest = redis.call('LINDEX', key, 0)
  if newest then
    local newest_us, newest_before, newest_n = struct.unpack(RUN, newest)
    if newest_us > now_us then now_us = newest_us end -- the server's clock stepped back: time stands still instead
    local horizon = now_us - window_us
    if newest_us <= horizon then
      redis.call('UNLINK', key)
    else
      local oldest = redis.call('LINDEX', key, -1)
      local first_us, first_before = struct.unpack(RUN, oldest)
      if first_us <= horizon then
        -- How many from the end have left: few, as a rule, so in steps that double, then by bisection. The newest stays.
        local left, stays, found = 1, 2, nil
        while left + 1 < stays or not found do
          local place = found and math.floor((left + stays) / 2) or stays
          local run = redis.call('LINDEX', key, -place)
          local run_us, run_before = nil, nil
          if run then run_us, run_before = struct.unpack(RUN, run) end
          if run and run_us <= horizon then
            left = place
            if not found then stays = 2 * place end
          else
            stays, found = place, true
            if run then first_us, first_before = run_us, run_before end
          end
        end
        redis.call('LTRIM', key, 0, -left - 1)
      end
      before, oldest_us = newest_before + newest_n, first_us
      used = before - first_before
    end
  end
  return {
    key = key, limit = limit, window_us = window_us, now_us = now_us,
    before = before, used = used, admitted = 0, oldest = oldest_us or now_us,
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
  if window.admitted == 0 then return end
  redis.call('LPUSH', window.key, struct.pack(RUN, window.now_us, window.before, window.admitted))
  redis.call('PEXPIRE', window.key, math.ceil(window.window_us / 1000) + 1000)
end
