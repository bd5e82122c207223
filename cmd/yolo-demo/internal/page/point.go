package page

import (
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
)

// A point is what the page draws of a frame. Names are short: a late viewer
// gets thousands.
type point struct {
	Number   int           `json:"n"`
	Edge     bool          `json:"edge"`
	Host     string        `json:"host,omitempty"`
	Fallback string        `json:"fallback,omitempty"`
	FPS      report.Number `json:"fps"`
	CPU      report.Number `json:"cpu"` // cores
	Temp     report.Number `json:"temp"`
	Bytes    int           `json:"bytes"` // both ways
	Latency  report.Number `json:"ms"`
	Outside  report.Number `json:"outside"`
	Found    int           `json:"found"`
	Why      string        `json:"why,omitempty"`
	Level    int           `json:"level,omitempty"`
	Call     report.Number `json:"call"`           // ms
	Here     report.Number `json:"here,omitzero"`  // predicted on the UE, ms
	There    report.Number `json:"there,omitzero"` // and on the edge host
	Late     bool          `json:"late,omitempty"`
	Hedged   bool          `json:"hedged,omitempty"`
}

// maxText bounds what an edge host can put on the page.
const maxText = 200

func newPoint(f *report.Frame) point {
	return point{
		Number: f.Number, Edge: f.Where == report.Edge,
		Host: cut(f.Host), Fallback: cut(f.Fallback),
		FPS: report.Number(f.FPS), CPU: report.Number(f.CPU), Temp: report.Number(f.Temp),
		Bytes: f.BytesUp + f.BytesDown, Latency: millis(f.Latency), Outside: millis(f.Outside()),
		Found: len(f.Boxes), Why: cut(f.Why), Level: f.Level,
		Call: millis(f.Call()), Here: millis(f.Here), There: millis(f.There), Late: f.Late(), Hedged: f.Hedged,
	}
}

func millis(d time.Duration) report.Number {
	return report.Number(float64(d) / float64(time.Millisecond))
}

func cut(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "…"
	}
	return s
}
