-- Events of its own for every thread and request, unique across threads and runs; at the end one line of JSON.
--
-- Arguments after `--`: file of tails (a line each: the event from its id's closing quote on), id prefix, events a
-- request (1 posts a single event), path, key.
local threads = 0
local tails, sent = {}, 0
local prefix, batch, head

function setup(thread)
  threads = threads + 1
  thread:set('number', threads)
end

function init(args)
  for tail in io.lines(args[1]) do tails[#tails + 1] = tail end
  prefix = '{"event_id":"' .. args[2] .. '-' .. number .. '-'
  batch = tonumber(args[3])
  -- Written out whole: wrk.format would go through its table of headers for every request.
  head = 'POST ' .. args[4] .. ' HTTP/1.1\r\nHost: ' .. wrk.host .. '\r\nAuthorization: Bearer ' .. args[5] ..
    '\r\nUser-Agent: wrk\r\nContent-Type: application/json\r\nContent-Length: '
end

local function event()
  sent = sent + 1
  return string.format('%s%09d%s', prefix, sent, tails[sent % #tails + 1])
end

function request()
  local body
  if batch == 1 then
    body = event()
  else
    local events = {}
    for i = 1, batch do events[i] = event() end
    body = '{"events":[' .. table.concat(events, ',') .. ']}'
  end
  return head .. #body .. '\r\n\r\n' .. body
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"seconds":%f,"refused":%d,"cut":%d,"timeouts":%d,"p50_ms":%f,"p99_ms":%f}',
    summary.requests, summary.duration / 1e6, errors.status, errors.connect + errors.read + errors.write,
    errors.timeout, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
