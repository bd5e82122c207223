// Package report turns what a run of the demo measured into files and a table:
// metrics.csv with a row a frame, figure3.svg and figure3.png after Figure 3 of
// paper 001, summary.json, and [Table] for the terminal.
//
// All figures are computed by [Summarize], a pure function of a [Run], so that
// the page, the terminal and the files say the same.
package report

import (
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
)

// Where a frame was computed.
const (
	UE   = "ue"
	Edge = "edge"
)

// A Frame is what was measured of one frame of the video.
type Frame struct {
	// Number counts the frames from 0.
	Number int
	// Where is UE or Edge. Host names the edge host, Fallback says why a frame
	// meant for one was computed on the UE; both are empty else.
	Where, Host, Fallback string

	// Start is the frame's begin, since the run's.
	Start time.Duration
	// Latency is the whole time from the frame to its boxes. The others are
	// parts of it.
	Latency   time.Duration
	Encode    time.Duration // making the JPEG
	Network   time.Duration // both ways
	Queue     time.Duration // waiting on the host for an instance
	Decode    time.Duration // unpacking the JPEG again
	Letterbox time.Duration // fitting it to the network's input
	Compute   time.Duration // the neural network itself
	Guest     time.Duration // the rest of the function: boxes out of the network's output
	Codec     time.Duration // request and reply to bytes and back

	// FPS is the frame rate at this frame, smoothed as the page shows it.
	FPS float64
	// CPU is how many cores the UE's process used, over the frames of the last half second.
	CPU float64
	// CPUTime is the processor time that the UE's process used over Period.
	CPUTime time.Duration
	// Period is the time from this frame's begin to the next one's.
	Period time.Duration
	// Temp is the UE's temperature in degrees Celsius, NaN when unknown.
	Temp float64

	// BytesUp and BytesDown went over the network for this frame.
	BytesUp, BytesDown int
	// Boxes are the objects found.
	Boxes []head.Box

	Decision
}

// Outside returns the part of the latency that is not the neural network.
func (f *Frame) Outside() time.Duration { return f.Latency - f.Compute }

// A Run is a whole run of the demo.
type Run struct {
	// Policy names what decides; empty means toggle. Requirements are what it was asked for.
	Policy, Requirements string
	// Toggle is the number of frames between two moves of the policy toggle.
	Toggle int
	// Began is when the first frame did.
	Began time.Time
	// Model is the network's name.
	Model string
	// TempSource says where Temp is from: "modelled", the name of a sensor, or
	// "unknown".
	TempSource string
	// UECPU is the share of a core that the UE may use. 0 means no limit.
	UECPU float64
	// FPSOffered is the rate at which frames came. 0 means as fast as they were
	// computed.
	FPSOffered float64

	// Frames are in the order of their numbers.
	Frames []Frame

	Lost       int // frames without a result
	Duplicated int // frames with more than one
	Fallbacks  int // frames meant for the edge host and computed on the UE
	Missed     int // frames that came while the one before was being computed
	// Agreement is the share of the frames compared whose boxes were the same
	// on both sides. NaN: none was compared.
	Agreement float64
	// Levels are the fidelities of the frames, the best first. None: there was one, and nothing is compared.
	Levels []Level
	// Kept is the share of the boxes of the best level that the run's frames have. NaN: none was compared.
	Kept float64
	// Throttled is in how many periods the UE ran out of its quota.
	Throttled uint64
	// Joules is the energy that the machine used. Nil: it does not tell.
	Joules *float64
	// Extra holds further figures by name, such as host_rss_mb. Nil is fine.
	Extra map[string]float64
}
