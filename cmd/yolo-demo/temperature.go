//go:build cgo && opencv

package main

import (
	"context"
	"math"
	"strings"

	"github.com/bungee-xr/bungee/handler/ue/notifier"
)

// modelled is what every output calls a temperature that no sensor has measured.
const modelled = "modelled"

// openDevice starts the notifier. Where the UE has no sensor, its temperature is modelled from this process' load: the rest of
// the machine, on which an edge host may run, is not the UE's.
func (d *demo) openDevice(context.Context) error {
	model, err := notifier.NewThermalModel(&notifier.ThermalConfig{Load: notifier.ProcessCPU})
	if err != nil {
		return err
	}
	d.device, err = notifier.New(&notifier.Config{Sources: []notifier.Source{notifier.NewSystem(nil), model}})
	if err != nil {
		return err
	}
	d.atEnd(d.device.Close)
	return nil
}

// tempSource says where temperatures are from: "modelled", the name of a sensor, or "unknown".
func tempSource(s *notifier.Sample) string {
	switch r := s.Get(notifier.Temperature); {
	case !r.Known():
		return "unknown"
	case strings.HasPrefix(r.Source, modelled):
		return modelled
	default:
		return r.Source
	}
}

// temperature returns the UE's in °C, if it is of the kind that the run's first one was; else NaN, which is unknown.
func (l *loop) temperature() float64 {
	s := l.device.Sample()
	v, known := s.Value(notifier.Temperature)
	if !known || (tempSource(s) == modelled) != (l.run.TempSource == modelled) {
		return math.NaN()
	}
	return v
}
