package ue

import (
	"github.com/bungee-xr/bungee/handler/ue/notifier"
	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// device returns what the policy is told of a sample. What the sample does not know is unknown.
func device(s *notifier.Sample) policy.Device {
	d := policy.Device{
		Temperature: reading(s, notifier.Temperature, 1),
		Battery:     reading(s, notifier.Battery, 0.01),
		Power:       reading(s, notifier.Power, 1),
		Cores:       reading(s, notifier.Cores, 1),
	}
	if charging, known := s.Value(notifier.Charging); known {
		d.Charging = charging != 0
	} else if _, powered := d.Battery.Get(); !powered {
		d.Charging = true // there is no battery to save
	}
	cores, sized := s.Value(notifier.Cores)
	if busy, known := s.Value(notifier.SystemCPU); known && sized {
		d.Load = policy.Known(busy * cores)
	}
	if skin, known := s.Value(notifier.SkinTemperature); known { // what a wearer feels
		d.Temperature = policy.Known(skin)
	}
	return d
}

// reading returns a metric in the unit that is so many of its own.
func reading(s *notifier.Sample, m notifier.Metric, unit float64) policy.Reading[float64] {
	if v, known := s.Value(m); known {
		return policy.Known(v * unit)
	}
	return policy.Reading[float64]{}
}

// kindOf returns the kind of the link that a sample tells.
func kindOf(s *notifier.Sample) policy.LinkKind {
	switch s.Link() {
	case notifier.Loopback:
		return policy.Loopback
	case notifier.Ethernet:
		return policy.Ethernet
	case notifier.WiFi:
		return policy.WiFi
	case notifier.Cellular:
		return policy.Cellular
	}
	return policy.LinkUnknown
}
