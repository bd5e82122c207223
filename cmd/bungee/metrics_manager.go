package main

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/bungee-xr/bungee/offload/manager"
	"github.com/bungee-xr/bungee/offload/placement"
)

// managerMetrics are what is told of a manager.
type managerMetrics struct {
	m *manager.Manager
	p *policyWatch
}

// managerPages returns the pages of a manager. It is ready when it decides.
func managerPages(m *manager.Manager, p *policyWatch) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(managerMetrics{m, p}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return pages(metricsPage(r), func() error {
		s, err := m.Stats()
		if err == nil && !s.Settled {
			err = errors.New("it waits for hosts that were there before")
		}
		return err
	})
}

// A managerMetric is one of them.
type managerMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(manager.Stats) float64
}

func counted(name, help string, value func(manager.Stats) uint64) managerMetric {
	return managerMetric{hostDesc("manager_"+name+"_total", help), prometheus.CounterValue, func(s manager.Stats) float64 { return float64(value(s)) }}
}

func gauged(name, help string, value func(manager.Stats) float64) managerMetric {
	return managerMetric{hostDesc("manager_"+name, help), prometheus.GaugeValue, value}
}

var managerMetricList = []managerMetric{
	gauged("epoch", "Epoch of this run: hosts obey the highest.", func(s manager.Stats) float64 { return float64(s.Epoch) }),
	gauged("leases", "Leases that hosts hold or are told of.", func(s manager.Stats) float64 { return float64(s.Leases) }),
	gauged("peers", "Connections of UEs and hosts.", func(s manager.Stats) float64 { return float64(s.Peers) }),
	gauged("orders_waiting", "Orders that hosts have not answered.", func(s manager.Stats) float64 { return float64(s.Waiting) }),
	counted("asks", "Asks for a place.", func(s manager.Stats) uint64 { return s.Asks }),
	counted("refusals", "Asks that policy, quota or rate did not grant.", func(s manager.Stats) uint64 { return s.Refused }),
	counted("sessions_opened", "Sessions that began.", func(s manager.Stats) uint64 { return s.Opened }),
	counted("sessions_ended", "Sessions that ended.", func(s manager.Stats) uint64 { return s.Ended }),
	counted("evictions", "Sessions that ended because of a revocation or a policy.", func(s manager.Stats) uint64 { return s.Evicted }),
	counted("moves", "Sessions that were moved to another host.", func(s manager.Stats) uint64 { return s.Moves }),
	counted("orders", "Orders to hosts.", func(s manager.Stats) uint64 { return s.Orders }),
	counted("orders_failed", "Orders that hosts could not follow.", func(s manager.Stats) uint64 { return s.OrdersFailed }),
	counted("orders_late", "Orders that hosts did not answer in time.", func(s manager.Stats) uint64 { return s.OrdersLate }),
	counted("probes", "Probes that hosts were asked for.", func(s manager.Stats) uint64 { return s.Probes }),
	counted("beats", "Beats of hosts.", func(s manager.Stats) uint64 { return s.Beats }),
	counted("leases_adopted", "Leases of a run before that were taken over.", func(s manager.Stats) uint64 { return s.Adopted }),
	counted("leases_refused", "Leases that hosts hold and no manager of ours has signed for them.", func(s manager.Stats) uint64 { return s.LeasesRefused }),
	counted("hosts_refused", "Hosts that were refused since another one has their ID.", func(s manager.Stats) uint64 { return s.Doubled }),
	counted("enrolments", "Certificates that were signed.", func(s manager.Stats) uint64 { return s.Enrolled }),
	counted("enrolment_refusals", "Enrolments that were refused: wrong, late or used codes.", func(s manager.Stats) uint64 { return s.EnrolRefused }),
	counted("audit_lost", "Lines of the audit that could not be written in time.", func(s manager.Stats) uint64 { return s.AuditLost }),
}

var (
	managerHosts    = hostDesc("manager_hosts", "Hosts, by state.", "state")
	managerSessions = hostDesc("manager_sessions", "Sessions, by state.", "state")
	managerDecided  = hostDesc("manager_decisions_total", "Decisions, by verdict.", "verdict")
)

// Describe implements prometheus.Collector.
func (managerMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range managerMetricList {
		ch <- m.desc
	}
	for _, d := range []*prometheus.Desc{managerHosts, managerSessions, managerDecided, buildDesc, expiryDesc, readDesc, reloadDesc, reloadedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c managerMetrics) Collect(ch chan<- prometheus.Metric) {
	s, err := c.m.Stats()
	if err != nil {
		return // it has ended
	}
	for _, m := range managerMetricList {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s))
	}
	for _, state := range []placement.State{placement.Silent, placement.Draining, placement.Cordoned, placement.Ready} {
		ch <- prometheus.MustNewConstMetric(managerHosts, prometheus.GaugeValue, float64(s.Hosts[state.String()]), state.String())
	}
	for _, state := range []string{"asked", "placed", "running", "local"} {
		ch <- prometheus.MustNewConstMetric(managerSessions, prometheus.GaugeValue, float64(s.Sessions[state]), state)
	}
	for v, n := range s.Decided {
		ch <- prometheus.MustNewConstMetric(managerDecided, prometheus.CounterValue, float64(n), placement.Verdict(v).String())
	}
	good, last := c.p.state()
	ch <- prometheus.MustNewConstMetric(buildDesc, prometheus.GaugeValue, 1, build()...)
	ch <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(s.CertificateEnds.Unix()))
	ch <- prometheus.MustNewConstMetric(readDesc, prometheus.GaugeValue, oneIf(s.CertificateFault == nil))
	ch <- prometheus.MustNewConstMetric(reloadDesc, prometheus.GaugeValue, oneIf(good))
	ch <- prometheus.MustNewConstMetric(reloadedDesc, prometheus.GaugeValue, float64(last.Unix()))
}
