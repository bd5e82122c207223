// Package thermal has a modelled temperature for machines that have no sensor.
//
// The model is of first order: a body of one temperature, heated by the load of
// the processor and cooled by the room,
//
//	dT/dt = (Ambient + Rise*load - T) / Tau
//
// and its numbers are chosen so that the curve resembles the one of Figure 3 of
// paper 001. A modelled temperature shows how a UE would warm up and cool down
// as the load moves; it is no measurement and supports no claim. Whoever prints
// it says [Source] beside it.
package thermal

import (
	"math"
	"time"
)

// Source is the name under which every output shows a modelled temperature.
const Source = "modelled"

// The numbers of the modelled UE. None of them was measured by us.
const (
	// ModelledAmbient is the temperature, in degrees Celsius, at no load. Assumed: air of
	// 25 °C in a case, and an idle desktop processor 10 degrees above it.
	ModelledAmbient = 35.0
	// ModelledRise is by how many degrees a full load heats the processor in
	// the end. Paper 001, section III: 57.5 °C at a load of about 60 %, so
	// (57.5 - 35) / 0.6.
	ModelledRise = 37.5
	// ModelledTau is the time in which 63 % of a change has happened. Assumed:
	// a stretch of 50 frames lasts 7 s at the paper's 7 FPS and 2.5 s at its
	// 20 FPS, and the temperature goes visibly up and down with them.
	ModelledTau = 4 * time.Second
)

// ModelledStep returns the modelled temperature dt after it was t, at a
// constant load from 0 to 1 of the UE's processor (of its quota, where it has
// one). Any dt gives a stable result, and two steps give the same as
// one of their sum. A load outside 0 to 1 counts as the nearer of the two.
func ModelledStep(t, load float64, dt time.Duration) float64 {
	if !(load > 0) { // NaN too
		load = 0
	}
	end := ModelledAmbient + ModelledRise*min(load, 1)
	if dt <= 0 {
		return t
	}
	return end + (t-end)*math.Exp(-float64(dt)/float64(ModelledTau))
}
