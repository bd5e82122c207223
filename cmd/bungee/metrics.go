package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"github.com/bungee-xr/bungee/handler/host"
)

// metricsConns bounds the connections to the metrics: some monitoring systems, and no more. Whoever
// idles cannot take the host's descriptors.
const metricsConns = 16

// serveMetrics serves the host's metrics, in Prometheus' form, at /metrics on addr,
// until stop is called, to who asks for an address of this machine or for one of names. It returns the
// URL.
func serveMetrics(addr string, names []string, h *host.Handler) (url string, stop func(), err error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return "", nil, err
	}
	r := prometheus.NewRegistry()
	r.MustRegister(tenantMetrics{h}, hostMetrics{h}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: metricsConns}))
	named, _, _ := net.SplitHostPort(addr)
	srv := &http.Server{
		Handler:           onlyNamed(append(names, named, machineName()), mux),
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

// hostMetrics are what the host holds for all UEs, and has refused, whoever asked.
type hostMetrics struct{ h *host.Handler }

var (
	hostLimit    = prometheus.NewDesc("bungee_host_buffers_limit_bytes", "Bytes that may be held for UEs beside their instances.", nil, nil)
	hostHeld     = prometheus.NewDesc("bungee_host_buffers_held_bytes", "Bytes that are held for UEs beside their instances.", nil, nil)
	hostPeak     = prometheus.NewDesc("bungee_host_buffers_peak_bytes", "The most that has been held.", nil, nil)
	hostRefused  = prometheus.NewDesc("bungee_host_refused_total", "Requests that found no room, of code overloaded, by reason.", []string{"code", "reason"}, nil)
	refusalsDesc = prometheus.NewDesc("bungee_refusals_total",
		"Requests, calls and messages that were refused or failed, by code.", []string{"code"}, nil)
	handshakesDesc = prometheus.NewDesc("bungee_handshake_failures_total",
		"Handshakes that failed, by what was wrong: identity, version, or other.", []string{"cause"}, nil)
)

// Describe implements prometheus.Collector.
func (hostMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{hostLimit, hostHeld, hostPeak, hostRefused, refusalsDesc, handshakesDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c hostMetrics) Collect(ch chan<- prometheus.Metric) {
	m := c.h.Memory()
	ch <- prometheus.MustNewConstMetric(hostLimit, prometheus.GaugeValue, float64(m.Most))
	ch <- prometheus.MustNewConstMetric(hostHeld, prometheus.GaugeValue, float64(m.Held))
	ch <- prometheus.MustNewConstMetric(hostPeak, prometheus.GaugeValue, float64(m.Peak))
	for reason, n := range map[string]uint64{"too_much": m.TooMuch, "busy": m.Busy, "late": m.Late} {
		ch <- prometheus.MustNewConstMetric(hostRefused, prometheus.CounterValue, float64(n), "overloaded", reason)
	}
	for code, n := range c.h.Refusals() {
		ch <- prometheus.MustNewConstMetric(refusalsDesc, prometheus.CounterValue, float64(n), code.String())
	}
	f := c.h.HandshakeFailures()
	for _, m := range []struct {
		cause string
		n     uint64
	}{{"identity", f.Identity}, {"version", f.Version}, {"other", f.Other}} {
		ch <- prometheus.MustNewConstMetric(handshakesDesc, prometheus.CounterValue, float64(m.n), m.cause)
	}
}

// tenantMetrics are the bill, the holding and the network of each tenant.
type tenantMetrics struct{ h *host.Handler }

// A tenantMetric is one of them.
type tenantMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(host.TenantStats) float64
}

func metric(name, help string, kind prometheus.ValueType, value func(host.TenantStats) float64) tenantMetric {
	return tenantMetric{prometheus.NewDesc("bungee_"+name, help, []string{"tenant"}, nil), kind, value}
}

var tenantMetricList = []tenantMetric{
	metric("sessions", "Sessions of UEs.", prometheus.GaugeValue,
		func(t host.TenantStats) float64 { return float64(t.Sessions) }),
	metric("channels", "Far endpoints of channels.", prometheus.GaugeValue,
		func(t host.TenantStats) float64 { return float64(t.Channels) }),
	metric("calls_in_flight", "Calls that run or wait.", prometheus.GaugeValue,
		func(t host.TenantStats) float64 { return float64(t.Waiting) }),
	metric("modules", "Modules that are loaded.", prometheus.GaugeValue,
		func(t host.TenantStats) float64 { return float64(t.Holding.Modules) }),
	metric("instances", "Instances of modules.", prometheus.GaugeValue,
		func(t host.TenantStats) float64 { return float64(t.Holding.Instances) }),
	metric("memory_limit_bytes", "Sum of the instances' memory limits.", prometheus.GaugeValue,
		func(t host.TenantStats) float64 { return float64(t.Holding.Memory) }),
	metric("buffers_held_bytes", "Bytes that the host holds for the tenant beside instances.", prometheus.GaugeValue,
		func(t host.TenantStats) float64 { return float64(t.Memory.Held) }),
	metric("buffers_waiting", "Frames that wait for room.", prometheus.GaugeValue,
		func(t host.TenantStats) float64 { return float64(t.Memory.Waiting) }),
	metric("refused_total", "Requests that found no room.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Memory.TooMuch + t.Memory.Busy + t.Memory.Late) }),
	metric("calls_total", "Calls that entered a guest.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Bill.Calls) }),
	metric("call_failures_total", "Calls that broke their instance.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Bill.Failed) }),
	metric("request_bytes_total", "Bytes of requests.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Bill.BytesIn) }),
	metric("reply_bytes_total", "Bytes of replies.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Bill.BytesOut) }),
	metric("network_receive_bytes_total", "Bytes that guests received from elsewhere.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Bill.NetIn) }),
	metric("network_transmit_bytes_total", "Bytes that guests sent elsewhere.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Bill.NetOut) }),
	metric("host_calls_total", "Calls of host functions.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Bill.HostCalls) }),
	metric("memory_peak_bytes", "Most memory an instance had after a call.", prometheus.GaugeValue,
		func(t host.TenantStats) float64 { return float64(t.Bill.MemoryPeak) }),
	metric("fuel_total", "Fuel used; metered tenants only, as cpu, host_function and memory_byte seconds.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Bill.Fuel) }),
	metric("cpu_seconds_total", "Processor time of calls.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return t.Bill.CPU.Seconds() }),
	metric("host_function_seconds_total", "Time in host functions.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return t.Bill.HostTime.Seconds() }),
	metric("connections", "Connections of UEs.", prometheus.GaugeValue,
		func(t host.TenantStats) float64 { return float64(t.Network.Connections) }),
	metric("link_rtt_seconds", "Mean of the connections' smoothed round-trip times.", prometheus.GaugeValue,
		func(t host.TenantStats) float64 { return t.Network.RTT.Seconds() }),
	metric("link_jitter_seconds", "Mean of the mean deviations of the connections' round-trip times.", prometheus.GaugeValue,
		func(t host.TenantStats) float64 { return t.Network.Jitter.Seconds() }),
	metric("link_packets_total", "Packets that the host sent.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Network.PacketsSent) }),
	metric("link_lost_packets_total", "Of these, lost ones; one that was late counts no more.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Network.PacketsLost) }),
	metric("link_transmit_bytes_total", "Bytes that the host sent.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Network.BytesSent) }),
	metric("link_delivered_bytes_total", "Bytes that the host sent and that are not lost; its rate is the delivered rate.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Network.Delivered) }),
	metric("link_receive_bytes_total", "Bytes that the host received.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return float64(t.Network.BytesReceived) }),
	metric("memory_byte_seconds_total", "Memory over the time of calls.", prometheus.CounterValue,
		func(t host.TenantStats) float64 { return t.Bill.MemorySeconds }),
}

// Describe implements prometheus.Collector.
func (tenantMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range tenantMetricList {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c tenantMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, t := range c.h.Tenants() {
		for _, m := range tenantMetricList {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(t), t.Name)
		}
	}
}
