-- What wrk counted, as one line of JSON. An argument, in milliseconds, is how long each connection pauses between
-- requests: a load below the limit, for latencies that mean something.

function init(arguments)
  local pause = tonumber(arguments[1] or "0")
  if pause > 0 then
    function delay() return pause end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %f, "sockets": %d, "statuses": %d, "p50": %f, "p99": %f}',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
