package report

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// madeUp returns a run as a UE with a quarter of a core gives it, from a fixed
// seed: 50 frames local, 50 at the edge, and so on.
func madeUp(frames int) *Run {
	rnd := rand.New(rand.NewPCG(1, 2))
	ms := func(x float64) time.Duration { return time.Duration(x * float64(time.Millisecond)) }
	r := &Run{Toggle: 50, Model: "yolo-fastest-1.1-xl", TempSource: "modelled", UECPU: 0.25,
		Agreement: 1, Throttled: 412, Extra: map[string]float64{"host_rss_mb": 169.2}}
	at, temp, fps := time.Duration(0), 38.0, 7.0
	for n := range frames {
		f := Frame{Number: n, Where: UE, Start: at, Guest: ms(0.15), Decode: ms(0.4), Letterbox: ms(0.7)}
		f.Compute, f.Period, f.CPUTime = ms(30+4*rnd.Float64()), ms(140+40*rnd.Float64()), ms(35+3*rnd.Float64())
		target, end := 7.0, 57.0
		if n/50%2 == 1 {
			f.Where, f.Host = Edge, "edge-1"
			f.Compute, f.Period, f.CPUTime = ms(17+2*rnd.Float64()), ms(23+4*rnd.Float64()), ms(3+rnd.Float64())
			f.Encode, f.Network, f.Queue, f.Codec = ms(1.2), ms(1.1+rnd.Float64()), ms(0.02), ms(0.01)
			f.Decode = ms(2.6)
			f.BytesUp, f.BytesDown = 48000+rnd.IntN(6000), 420
			target, end = 41, 48
		}
		f.Latency = f.Compute + f.Encode + f.Network + f.Queue + f.Decode + f.Letterbox + f.Guest + f.Codec
		fps += (target - fps) / 4
		f.FPS = fps + rnd.Float64()
		f.CPU = f.CPUTime.Seconds() / f.Period.Seconds()
		temp += (end - temp) * (1 - math.Exp(-f.Period.Seconds()/4))
		f.Temp = temp
		f.Boxes = []head.Box{{X: 10.5, Y: 20, W: 30, H: 40.25, Score: 0.875, Class: 2}}
		at += f.Period
		r.Frames = append(r.Frames, f)
	}
	return r
}

// byHand is a run whose summary can be worked out on paper.
func byHand() *Run {
	ms := time.Millisecond
	local := Frame{Where: UE, Latency: 100 * ms, Compute: 90 * ms, Decode: 4 * ms, Letterbox: 5 * ms, Guest: 1 * ms,
		FPS: 8, CPU: 0.25, CPUTime: 25 * ms, Period: 125 * ms, Temp: 50}
	edge := Frame{Where: Edge, Host: `edge "1"`, Latency: 30 * ms, Compute: 20 * ms, Encode: 2 * ms, Network: 3 * ms,
		Queue: 1 * ms, Decode: 2 * ms, Letterbox: 1 * ms, Guest: ms / 2, Codec: ms / 2,
		FPS: 40, CPU: 0.2, CPUTime: 5 * ms, Period: 25 * ms, Temp: 46, BytesUp: 50000, BytesDown: 400,
		Boxes: []head.Box{{X: 1, Y: 2.5, W: 3, H: 4, Score: 0.75, Class: 7}, {X: 0, Y: 0, W: 640, H: 480, Score: 0.5}}}
	r := &Run{Toggle: 2, Model: "yolo-fastest-1.1-xl", TempSource: "modelled", UECPU: 0.25, FPSOffered: 20,
		Fallbacks: 1, Missed: 3, Agreement: 1, Throttled: 9}
	at := time.Duration(0)
	for n := range 6 {
		f := local
		if n/2 == 1 {
			f = edge
		}
		f.Number, f.Start = n, at
		if n == 3 {
			f.Latency, f.Temp = 40*ms, math.NaN()
		}
		if n == 4 {
			f.Fallback = "edge-1:7443, no answer within 500ms\nagain"
		}
		at += f.Period
		r.Frames = append(r.Frames, f)
	}
	return r
}
