//go:build cgo && opencv

package main

import (
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/thermal"
	"github.com/bungee-xr/bungee/handler/ue/notifier"
)

// A temperature is the UE's: a sensor's if the UE has one, else modelled, and
// then source says so.
type temperature struct {
	source string
	now    float64 // of the model
	cores  float64 // that are full load to the model
}

func (d *demo) temperature() temperature {
	t := temperature{source: thermal.Source, now: thermal.ModelledAmbient, cores: 1}
	if s := d.device.Sample(); s.Has(notifier.Temperature) {
		t.source = s.TemperatureSource
	}
	if d.opt.ueCPU > 0 {
		t.cores = d.opt.ueCPU
	}
	return t
}

// after returns the temperature at the end of a frame.
func (t *temperature) after(s *notifier.Sample, f *report.Frame) float64 {
	if t.source != thermal.Source {
		return float64(s.Temperature)
	}
	t.now = thermal.ModelledStep(t.now, f.CPU/t.cores, f.Period)
	return t.now
}
