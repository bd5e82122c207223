package wire

import (
	"cmp"
	"math"
	"time"
)

func (f Enrol) check() error {
	return cmp.Or(
		short("code", len(f.Code), MaxCode),
		short("request for a certificate", len(f.Request), MaxCertificate),
	)
}

func (f Cert) check() error {
	return cmp.Or(
		few("certificates", f.Chain, MaxChain), each("certificate", f.Chain, MaxCertificate),
		few("authorities", f.Roots, MaxRoots), each("authority", f.Roots, MaxCertificate),
	)
}

func (f Ask) check() error {
	n := f.Need
	return cmp.Or(
		short("class", len(f.Class), MaxClass), hosts(f.Hosts),
		notBelow0("latency", n.Latency), number("rate", n.Rate), number("price", n.Price), notBelow0("memory", n.Memory),
		notBelow0("bytes up", n.Up), notBelow0("bytes down", n.Down), notBelow0("calls in flight", n.InFlight),
		few("labels", n.Labels, MaxLabels), each("label", n.Labels, MaxLabel),
	)
}

func (f Candidates) check() error {
	err := cmp.Or(notBelow0("theta", f.Theta), few("hosts", f.Hosts, MaxHosts))
	for _, h := range f.Hosts {
		err = cmp.Or(err, short("name of a host", len(h.Host), MaxHostName), addresses(h.Addresses))
	}
	return err
}

func (f Feel) check() error {
	err := cmp.Or(few("links", f.Links, MaxHosts), few("calls", f.Calls, MaxHosts))
	for _, l := range f.Links {
		err = cmp.Or(err, short("name of a host", len(l.Host), MaxHostName), notBelow0("round-trip time", l.RTT), notBelow0("jitter", l.Jitter))
	}
	for _, c := range f.Calls {
		err = cmp.Or(err, short("name of a host", len(c.Host), MaxHostName), notBelow0("p50", c.P50), notBelow0("p99", c.P99))
	}
	return err
}

func (f Place) check() error {
	err := cmp.Or(short("reason", len(f.Why), MaxWhy), notBelow0("time to move", f.By), notBelow0("time to retry", f.RetryAfter))
	for _, p := range []Placed{f.Primary, f.Standby} {
		err = cmp.Or(err, short("name of a host", len(p.Host), MaxHostName), addresses(p.Addresses), short("lease", len(p.Lease), MaxLease))
	}
	return err
}

func (f Bye) check() error { return nil }

func (f Register) check() error {
	return cmp.Or(
		addresses(f.Addresses), notBelow0("turns", f.Turns), notBelow0("memory", f.Memory), number("price", f.Price),
		few("accelerators", f.Accelerators, MaxLabels), each("accelerator", f.Accelerators, MaxLabel),
		few("labels", f.Labels, MaxLabels), each("label", f.Labels, MaxLabel),
		short("version", len(f.Version), MaxName),
	)
}

func (f Holding) check() error {
	err := cmp.Or(few("leases", f.Leases, MaxLeases), each("lease", f.Leases, MaxLease), few("addresses of leases", f.Addresses, len(f.Leases)))
	for _, all := range f.Addresses {
		err = cmp.Or(err, addresses(all))
	}
	return err
}

func (f Adopted) check() error {
	return cmp.Or(
		few("runs", f.Runs, MaxRuns), few("keys", f.Keys, MaxKeys), notBelow0("time between beats", f.Beat),
		few("revoked IDs", f.Revoked, MaxRevoked), each("revoked ID", f.Revoked, MaxID),
	)
}

func (f Beat) check() error {
	err := cmp.Or(
		notBelow0("turns", f.Turns), notBelow0("bytes held", f.Held),
		few("modules", f.Modules, MaxBeatModules), few("sessions", f.Sessions, MaxBeatSessions),
	)
	for _, m := range f.Modules {
		for _, d := range []time.Duration{m.R, m.S, m.S10, m.R50, m.R99} {
			err = cmp.Or(err, notBelow0("time of a module", d))
		}
	}
	for _, s := range f.Sessions {
		err = cmp.Or(err, notBelow0("idle time", s.Idle))
	}
	return err
}

func (f Order) check() error {
	return cmp.Or(
		short("lease", len(f.Lease), MaxLease), short("ID", len(f.Who), MaxID), notBelow0("time to stop", f.By), notBelow0("runs of a probe", f.N),
		number("rate", f.Limits.Rate), notBelow0("memory", f.Limits.Memory), notBelow0("share", f.Limits.Share),
	)
}

func (f Did) check() error {
	err := cmp.Or(
		short("reason", len(f.Why), MaxWhy), addresses(f.Addresses), notBelow0("time to be ready", f.Ready), notBelow0("time to retry", f.RetryAfter), few("samples", f.Samples, MaxSamples),
	)
	for _, d := range f.Samples {
		err = cmp.Or(err, notBelow0("sample", d))
	}
	return err
}

func hosts(names []string) error {
	return cmp.Or(few("hosts", names, MaxHosts), each("name of a host", names, MaxHostName))
}

func addresses(all []string) error {
	return cmp.Or(few("addresses", all, MaxAddresses), each("address", all, MaxAddress))
}

func few[T any](what string, list []T, most int) error {
	if len(list) > most {
		return malformed("%d %s, over %d", len(list), what, most)
	}
	return nil
}

func each[T string | []byte](what string, list []T, most int) error {
	for _, b := range list {
		if err := short(what, len(b), most); err != nil {
			return err
		}
	}
	return nil
}

func short(what string, n, most int) error {
	if n > most {
		return malformed("%s of %d bytes, over %d", what, n, most)
	}
	return nil
}

func notBelow0[T ~int | ~int64](what string, n T) error {
	if n < 0 {
		return malformed("%s of %v", what, n)
	}
	return nil
}

// number refuses what no arithmetic should meet.
func number(what string, x float64) error {
	if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
		return malformed("%s of %v", what, x)
	}
	return nil
}
