-- wrk posts one body again and again; it is told by the environment what and how often (0: until the end).
wrk.method = "POST"
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-Auth-Token"] = os.getenv("BENCH_TOKEN")
wrk.headers["OpenStack-API-Version"] = "compute 2.90"

local most = tonumber(os.getenv("BENCH_COUNT"))
local answered = 0

if most > 0 then
  response = function()
    answered = answered + 1
    if answered == most then wrk.thread:stop() end
  end
end

function done(summary, latency)
  print(string.format(
    "RESULT %d %d %d %d %d %d", summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
