// Package flow uses all of package nn, natively and in a guest.
package flow

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// Run goes through the API with an image and returns what it saw, as text.
func Run(ctx context.Context, img []byte) string {
	var log strings.Builder
	g, err := nn.Load("nope")
	say(&log, "load nope", err)
	if g, err = nn.Load("mean"); err != nil {
		return err.Error()
	}
	for _, s := range g.Inputs() {
		log.WriteString("input" + ints(s) + "\n")
	}
	s, err := g.NewSession()
	if err != nil {
		return err.Error()
	}
	_, err = s.Outputs()
	say(&log, "outputs too soon", err)
	_, err = s.SetImage(ctx, 0, img[:len(img)/2])
	say(&log, "half an image", err)
	_, err = s.SetImage(ctx, 0, nil)
	say(&log, "no image", err)
	fit, err := s.SetImage(ctx, 0, img)
	say(&log, "image", err)
	log.WriteString("fit" + ints([]int{fit.ImageW, fit.ImageH, fit.InputW, fit.InputH}) +
		floats([]float32{fit.Scale, fit.PadX, fit.PadY}) + "\n")
	compute(ctx, &log, s)
	data := make([]float32, 48)
	for i := range data {
		data[i] = float32(i) / 3
	}
	say(&log, "input", s.SetInput(0, nn.Tensor{Shape: []int{1, 3, 4, 4}, Data: data}))
	compute(nn.WithTimings(ctx, new(nn.Timings)), &log, s)
	say(&log, "close", s.Close())
	say(&log, "close again", s.Close())
	return log.String()
}

func compute(ctx context.Context, log *strings.Builder, s *nn.Session) {
	say(log, "compute", s.Compute(ctx))
	out, err := s.Outputs()
	say(log, "outputs", err)
	for _, t := range out {
		log.WriteString(ints(t.Shape) + ":" + floats(t.Data) + "\n")
	}
}

func say(log *strings.Builder, what string, err error) {
	log.WriteString(what + ":")
	switch {
	case errors.Is(err, nn.ErrNoGraph):
		log.WriteString(" no graph:")
	case errors.Is(err, nn.ErrBadImage):
		log.WriteString(" bad image:")
	}
	if err != nil {
		log.WriteString(" " + err.Error())
	}
	log.WriteString("\n")
}

func ints(v []int) string {
	s := ""
	for _, i := range v {
		s += " " + strconv.Itoa(i)
	}
	return s
}

func floats(v []float32) string {
	s := ""
	for _, f := range v {
		s += " " + strconv.FormatFloat(float64(f), 'g', -1, 32)
	}
	return s
}

// Allocs returns how many allocations frames of one session took after the
// first, or -1 where a frame failed.
func Allocs(ctx context.Context, img []byte, frames int) int {
	g, err := nn.Load("mean")
	if err != nil {
		return -1
	}
	s, err := g.NewSession()
	if err != nil {
		return -1
	}
	defer s.Close()
	var before, after runtime.MemStats
	for i := range frames {
		if i == 1 {
			runtime.ReadMemStats(&before)
		}
		if _, err := s.SetImage(ctx, 0, img); err != nil {
			return -1
		}
		if s.Compute(ctx) != nil {
			return -1
		}
		if _, err := s.Outputs(); err != nil {
			return -1
		}
	}
	runtime.ReadMemStats(&after)
	return int(after.Mallocs - before.Mallocs)
}
