package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/net/netutil"

	"github.com/bungee-xr/bungee/handler/host"
)

// metricsConns bounds the connections to the metrics: some monitoring systems, and no more. Whoever
// idles cannot take the host's descriptors.
const metricsConns = 16

// A monitored is what is told of a host that runs.
type monitored struct {
	h   *host.Handler
	who interface { // its certificate, and what is wrong with the files of the next one
		Ends() time.Time
		Fault() error
	}
	r *reloader
}

// serveMetrics serves pages, of which /metrics is in Prometheus' form, and /healthz and /readyz say whether the process lives and is
// ready, on addr until stop is called, to who asks for an address of this machine or for one of names. It
// returns the URL of the metrics.
func serveMetrics(addr string, names []string, pages http.Handler) (url string, stop func(), err error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return "", nil, err
	}
	named, _, _ := net.SplitHostPort(addr)
	srv := &http.Server{
		Handler:           onlyNamed(append(names, named, machineName()), pages),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 10 * time.Second,
		MaxHeaderBytes: 16 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(netutil.LimitListener(ln, metricsConns)) }()
	return "http://" + ln.Addr().String() + "/metrics", func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if errors.Is(srv.Shutdown(ctx), context.DeadlineExceeded) {
			srv.Close()
		}
		<-served
	}, nil
}

// pages returns the pages of a host.
func (m monitored) pages() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(hostMetrics{m}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return pages(metricsPage(r, tenantMetrics(m.h.Monitored)), m.h.Ready)
}

// pages returns those of a daemon: metrics, that it lives, and whether it is ready.
func pages(metrics http.Handler, ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// metricsPage serves what gatherers gather, which have no names in common. It compresses nothing: that
// would take longer than the rest.
func metricsPage(all ...prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(gatherers(all), promhttp.HandlerOpts{MaxRequestsInFlight: metricsConns, DisableCompression: true})
}

// gatherers are several that have no names in common. Those of package prometheus would look at each
// series of a thousand tenants for that.
type gatherers []prometheus.Gatherer

// Gather implements prometheus.Gatherer.
func (g gatherers) Gather() (all []*dto.MetricFamily, err error) {
	for _, one := range g {
		families, e := one.Gather()
		all, err = append(all, families...), errors.Join(err, e)
	}
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return all, err
}

// onlyNamed refuses requests for a Host that is neither an IP address, localhost nor in names: the
// browser of somebody who can reach this page would ask with the name of an attacker's site that was
// made to point here, and give the site the answer (DNS rebinding).
func onlyNamed(names []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isNamed(r.Host, names) {
			http.Error(w, "this page does not answer to that name; see --metrics-name", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isNamed(host string, names []string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if net.ParseIP(host) != nil || strings.EqualFold(host, "localhost") {
		return true
	}
	return host != "" && slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, host) })
}

// tenantMetrics are the bill, the holding and the network of each tenant. They build what package
// prometheus would: through its registry a page of a thousand tenants takes several times longer.
type tenantMetrics func() []host.TenantStats

// A tenantMetric is one of them.
type tenantMetric struct {
	name, help string
	kind       dto.MetricType
	value      func(host.TenantStats) float64
}

func metric(name, help string, kind dto.MetricType, value func(host.TenantStats) float64) tenantMetric {
	return tenantMetric{"bungee_" + name, help, kind, value}
}

var tenantMetricList = []tenantMetric{
	metric("sessions", "Sessions of UEs.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return float64(t.Sessions) }),
	metric("channels", "Far endpoints of channels.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return float64(t.Channels) }),
	metric("calls_in_flight", "Calls that run or wait.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return float64(t.Waiting) }),
	metric("modules", "Modules that are loaded.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return float64(t.Holding.Modules) }),
	metric("instances", "Instances of modules.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return float64(t.Holding.Instances) }),
	metric("memory_limit_bytes", "Sum of the instances' memory limits.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return float64(t.Holding.Memory) }),
	metric("buffers_held_bytes", "Bytes that the host holds for the tenant beside instances.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return float64(t.Memory.Held) }),
	metric("buffers_limit_bytes", "Bytes that the host may hold for the tenant beside instances.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return float64(t.Memory.Most) }),
	metric("buffers_waiting", "Frames that wait for room.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return float64(t.Memory.Waiting) }),
	metric("refused_total", "Requests that found no room.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Memory.TooMuch + t.Memory.Busy + t.Memory.Late) }),
	metric("calls_total", "Calls that entered a guest.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Bill.Calls) }),
	metric("call_failures_total", "Calls that broke their instance.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Bill.Failed) }),
	metric("request_bytes_total", "Bytes of requests.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Bill.BytesIn) }),
	metric("reply_bytes_total", "Bytes of replies.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Bill.BytesOut) }),
	metric("network_receive_bytes_total", "Bytes that guests received from elsewhere.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Bill.NetIn) }),
	metric("network_transmit_bytes_total", "Bytes that guests sent elsewhere.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Bill.NetOut) }),
	metric("host_calls_total", "Calls of host functions.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Bill.HostCalls) }),
	metric("memory_peak_bytes", "Most memory an instance had after a call.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return float64(t.Bill.MemoryPeak) }),
	metric("fuel_total", "Fuel used; metered tenants only, as cpu, host_function and memory_byte seconds.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Bill.Fuel) }),
	metric("cpu_seconds_total", "Processor time of calls.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return t.Bill.CPU.Seconds() }),
	metric("host_function_seconds_total", "Time in host functions.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return t.Bill.HostTime.Seconds() }),
	metric("connections", "Connections of UEs.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return float64(t.Network.Connections) }),
	metric("link_rtt_seconds", "Mean of the connections' smoothed round-trip times.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return t.Network.RTT.Seconds() }),
	metric("link_jitter_seconds", "Mean of the mean deviations of the connections' round-trip times.", dto.MetricType_GAUGE,
		func(t host.TenantStats) float64 { return t.Network.Jitter.Seconds() }),
	metric("link_packets_total", "Packets that the host sent.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Network.PacketsSent) }),
	metric("link_lost_packets_total", "Of these, lost ones; one that was late counts no more.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Network.PacketsLost) }),
	metric("link_transmit_bytes_total", "Bytes that the host sent.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Network.BytesSent) }),
	metric("link_delivered_bytes_total", "Bytes that the host sent and that are not lost; its rate is the delivered rate.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Network.Delivered) }),
	metric("link_receive_bytes_total", "Bytes that the host received.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return float64(t.Network.BytesReceived) }),
	metric("memory_byte_seconds_total", "Memory over the time of calls.", dto.MetricType_COUNTER,
		func(t host.TenantStats) float64 { return t.Bill.MemorySeconds }),
}

// Gather implements prometheus.Gatherer.
func (tenants tenantMetrics) Gather() ([]*dto.MetricFamily, error) {
	all := tenants()
	labels := make([][]*dto.LabelPair, len(all))
	name := "tenant"
	for i := range all {
		value := strings.ToValidUTF8(all[i].Name, "\uFFFD")
		labels[i] = []*dto.LabelPair{{Name: &name, Value: &value}}
	}
	families := make([]*dto.MetricFamily, len(tenantMetricList))
	for i, m := range tenantMetricList {
		f := &dto.MetricFamily{Name: &m.name, Help: &m.help, Type: m.kind.Enum(), Metric: make([]*dto.Metric, len(all))}
		for j := range all {
			v := m.value(all[j])
			f.Metric[j] = &dto.Metric{Label: labels[j]}
			if m.kind == dto.MetricType_COUNTER {
				f.Metric[j].Counter = &dto.Counter{Value: &v}
			} else {
				f.Metric[j].Gauge = &dto.Gauge{Value: &v}
			}
		}
		families[i] = f
	}
	return families, nil
}
