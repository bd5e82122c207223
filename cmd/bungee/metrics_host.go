package main

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// hostMetrics are what is told of the host as a whole, whoever asked.
type hostMetrics struct{ monitored }

func hostDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("bungee_"+name, help, labels, nil)
}

var (
	buildDesc     = hostDesc("build_info", "Always 1; what the program was built from, and the protocol that it speaks.", "version", "revision", "goversion", "protocol")
	hostLimit     = hostDesc("host_buffers_limit_bytes", "Bytes that may be held for UEs beside their instances.")
	hostHeld      = hostDesc("host_buffers_held_bytes", "Bytes that are held for UEs beside their instances.")
	hostPeak      = hostDesc("host_buffers_peak_bytes", "The most that has been held.")
	hostRefused   = hostDesc("host_refused_total", "Requests that found no room, of code overloaded, by reason.", "code", "reason")
	refusalsDesc  = hostDesc("refusals_total", "Requests, calls and messages that were refused or failed, by code.", "code")
	handshakeDesc = hostDesc("handshake_failures_total", "Handshakes that failed, by what was wrong: identity, version, or other.", "cause")
	callDesc      = hostDesc("call_duration_seconds", "Time of calls, and of messages of channels, that entered a guest, from their arrival to their end.", "kind")
	queueDesc     = hostDesc("call_queue_duration_seconds", "Time that calls and messages waited for their module, an instance and a core; also those that gave up.", "kind")
	compileDesc   = hostDesc("compile_duration_seconds", "Time of loading modules that had to be compiled, with the wait for a compiler; also those that could not be.")
	expiryDesc    = hostDesc("certificate_expiry_timestamp_seconds", "When the certificate ends that the next handshake is made with, in Unix time.")
	readDesc      = hostDesc("certificate_last_read_successful", "Whether the files of certificates can be used as they are: 1, or 0 while those that were read before count.")
	reloadDesc    = hostDesc("config_last_reload_successful", "Whether the last reload of configuration, policy and certificates succeeded: 1, or 0.")
	reloadedDesc  = hostDesc("config_last_reload_success_timestamp_seconds", "When one last did, or the host began, in Unix time.")
)

// Describe implements prometheus.Collector.
func (hostMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		buildDesc, hostLimit, hostHeld, hostPeak, hostRefused, refusalsDesc, handshakeDesc,
		callDesc, queueDesc, compileDesc, expiryDesc, readDesc, reloadDesc, reloadedDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c hostMetrics) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	send(buildDesc, prometheus.GaugeValue, 1, build()...)
	m := c.h.Memory()
	send(hostLimit, prometheus.GaugeValue, float64(m.Most))
	send(hostHeld, prometheus.GaugeValue, float64(m.Held))
	send(hostPeak, prometheus.GaugeValue, float64(m.Peak))
	for reason, n := range map[string]uint64{"too_much": m.TooMuch, "busy": m.Busy, "late": m.Late} {
		send(hostRefused, prometheus.CounterValue, float64(n), "overloaded", reason)
	}
	refusals := c.h.Refusals()
	for _, code := range hostCodes() {
		send(refusalsDesc, prometheus.CounterValue, float64(refusals[code]), code.String())
	}
	f := c.h.HandshakeFailures()
	for cause, n := range map[string]uint64{"identity": f.Identity, "version": f.Version, "other": f.Other} {
		send(handshakeDesc, prometheus.CounterValue, float64(n), cause)
	}
	c.collectTimes(ch)
	send(expiryDesc, prometheus.GaugeValue, float64(c.who.Ends().Unix()))
	send(readDesc, prometheus.GaugeValue, oneIf(c.who.Fault() == nil))
	send(reloadDesc, prometheus.GaugeValue, oneIf(c.r.good.Load()))
	send(reloadedDesc, prometheus.GaugeValue, float64(c.r.last.Load()))
}

// oneIf is a gauge's way to say yes.
func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (c hostMetrics) collectTimes(ch chan<- prometheus.Metric) {
	t := c.h.Times()
	for _, h := range []struct {
		desc   *prometheus.Desc
		of     host.Histogram
		labels []string
	}{
		{callDesc, t.Calls, []string{"call"}}, {callDesc, t.Messages, []string{"message"}},
		{queueDesc, t.CallQueue, []string{"call"}}, {queueDesc, t.MessageQueue, []string{"message"}},
		{compileDesc, t.Compile, nil},
	} {
		within, n := map[float64]uint64{}, uint64(0)
		for i, bound := range h.of.Bounds {
			n += h.of.Counts[i]
			within[bound.Seconds()] = n
		}
		ch <- prometheus.MustNewConstHistogram(h.desc, h.of.Count(), h.of.Sum.Seconds(), within, h.labels...)
	}
}

// hostCodes are the codes that hosts tell.
func hostCodes() (all []offload.Code) {
	for c := offload.Code(0); c < offload.CodeUnavailable; c++ {
		if c.String() != offload.Code(255).String() {
			all = append(all, c)
		}
	}
	return all
}

// build returns the labels of buildDesc.
func build() []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	revision := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return []string{cmp.Or(info.Main.Version, "unknown"), cmp.Or(revision, "unknown"), runtime.Version(), wire.ALPN}
}
