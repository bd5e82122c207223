//go:build cgo && opencv

// Command yolo-demo is the demonstration of paper 001: object detection on a
// video, computed on the UE for 50 frames, on an edge host for the next 50, and so
// on, with what that does to the frame rate and to the UE.
//
//	yolo-demo                          # an offload manager and two edge hosts of its own, on this machine
//	yolo-demo -ue-cpu 0.25             # with a weak UE: a quarter of a core
//	yolo-demo -manager 192.0.2.7:4434  # where a "bungee manager" says: its hosts need "bungee host --model"
//	yolo-demo -edge 192.0.2.7:4433     # with a "bungee host" that has no manager
//
// With -policy the UE decides otherwise: by thresholds, or by what it predicts of both places. The policy
// adaptive is told what is required, and at which fidelities frames can be encoded:
//
//	yolo-demo -ue-cpu 0.5 -fps 10 -policy adaptive -requirements latency=150ms,rate=10
//
// While it runs, a page shows the annotated video, the edge hosts, what the offload manager does, and live charts. Where the hosts are the
// demo's own, its table has buttons: kill one, drain one, fill one with sessions of another application. At the
// end -out has metrics.csv, figure3.svg and .png, annotated.mp4 and summary.json.
//
// The network is Yolo-Fastest-1.1-xl unless -model says otherwise. Your own is a
// file: "-model my-yolov8n.onnx". What the file does not say of itself, -head and
// -input do. With -manager or -edge, start the hosts with the same --model, --head and --input.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// errUsage marks an error of the command line.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := start(ctx, os.Args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "yolo-demo:", err)
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, "yolo-demo:", err)
	os.Exit(1)
}

func start(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case nativeHostCommand:
			return nativeHost(ctx, args[1:])
		case crowdCommand:
			return crowd(ctx, args[1:])
		}
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	d, err := newDemo(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(d.run(ctx), d.Close())
}

// options are the flags.
type options struct {
	video, edge, manager, socket, certs, model, head, out, http, host, over string
	policy, requirements, explain                                           string
	loop, display, verbose, hedge                                           bool
	frames, toggle, input, quality, levels                                  int
	fps, ueCPU, maxTemp                                                     float64
	require                                                                 policy.Requirements // what requirements says
	wait                                                                    time.Duration
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("yolo-demo", flag.ContinueOnError)
	fs.StringVar(&o.video, "video", "", "video file; or a folder or pattern of pictures, such as frame%04d.png; or a camera: its number, its device or an address such as rtsp://host/path (default: what BUNGEE_VIDEO names, else a video file out of a Debian package)")
	fs.BoolVar(&o.loop, "loop", true, "begin the video again at its end")
	fs.IntVar(&o.frames, "frames", 600, "frames to compute")
	fs.Float64Var(&o.fps, "fps", 0, "frames offered per second; 0: as fast as they are computed")
	fs.StringVar(&o.policy, "policy", report.Toggle, "what decides where a frame is computed: toggle, threshold or adaptive (docs/ue-policy.md)")
	fs.IntVar(&o.toggle, "toggle", 50, "with -policy toggle: move the computation every so many frames; 0: never offload")
	fs.StringVar(&o.requirements, "requirements", "", "what is required of a frame's call, such as latency=100ms,rate=15,energy=frugal,private (default: a latency of 500ms)")
	fs.Float64Var(&o.maxTemp, "max-temperature", 0, "temperature of the UE in °C that the policy is to keep it below; 0: any")
	fs.IntVar(&o.levels, "levels", len(steps), "with -policy adaptive: how many fidelities of frames it may choose from; 1: the quality is fixed")
	fs.BoolVar(&o.hedge, "hedge", true, "with -policy adaptive: begin a frame on the UE, too, when the edge host does not answer in time")
	fs.StringVar(&o.explain, "explain", "", "file for the log of decisions, which \"bungee explain\" reads (default: there is none)")
	fs.StringVar(&o.manager, "manager", "", "addresses of running offload managers, with commas between them; they say on which edge host (default: start one, and two hosts, on this machine)")
	fs.StringVar(&o.socket, "socket", "", "with -manager: the operator's socket of that manager, if it runs on this machine, for all that the page shows of hosts (default: what the UE knows)")
	fs.StringVar(&o.edge, "edge", "", "address of a running edge host that has no manager")
	fs.StringVar(&o.certs, "certs", "", "with -manager or -edge: folder of ca.pem, ue.pem, ue.key, by \"bungee enroll\" or \"bungee ca\" (default: the user's own)")
	fs.Float64Var(&o.ueCPU, "ue-cpu", 0, "limit this process to so much of a core, such as 0.25; 0: no limit")
	fs.StringVar(&o.model, "model", "", "network: a name of the catalog or a file of your own (default: yolo-fastest-1.1-xl)")
	fs.StringVar(&o.head, "head", "", "how the network's outputs are read: "+head.KindNames()+" (default: what the catalog or the file says, else what the outputs tell, if only one fits them)")
	fs.IntVar(&o.input, "input", 0, "side of the input of a network of your own, in pixels, where its file leaves it open (default: what the file notes, else 512 for centernet and 640 for others)")
	fs.IntVar(&o.quality, "quality", 75, "JPEG quality of the frames, 1 to 100; of their best fidelity")
	fs.StringVar(&o.out, "out", "", "folder for the report (default: none is written)")
	fs.StringVar(&o.http, "http", "127.0.0.1:8080", "address of the live page; empty: no page")
	fs.BoolVar(&o.display, "display", false, "show the video in a window")
	fs.StringVar(&o.host, "host", "wasm", "what the edge hosts that are started run: wasm, or native for a comparison")
	fs.StringVar(&o.over, "over", "auto", "what carries frames to the edge host: quic, tcp, or auto, which takes TCP where UDP is blocked")
	fs.DurationVar(&o.wait, "wait", 20*time.Second, "longest to wait for the edge host before the first frame; without it, frames meant for it are computed here")
	fs.BoolVar(&o.verbose, "v", false, "log what the handlers do, not only warnings")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errors.Join(errUsage, err)
	}
	return o, errors.Join(o.check(fs.NArg()), o.read())
}

// transports are what -over names.
var transports = map[string]ue.Transport{"auto": ue.Auto, "quic": ue.QUIC, "tcp": ue.TCP}

func isTransport(name string) bool {
	_, ok := transports[name]
	return ok
}

// areAddresses says whether a list of addresses with commas between them, which may be empty, can be used.
func areAddresses(list string) bool {
	if list == "" {
		return true
	}
	for a := range strings.SplitSeq(list, ",") {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return false
		}
	}
	return true
}

// policies are what -policy names.
var policies = map[string]func(o *options) policy.Policy{
	report.Toggle: func(o *options) policy.Policy { return policy.Toggle{Every: uint64(o.toggle)} },
	"threshold":   func(*options) policy.Policy { return policy.Threshold{} },
	adaptive: func(o *options) policy.Policy {
		if o.hedge {
			return policy.Adaptive{}
		}
		return unhedged{}
	},
}

// unhedged is Adaptive whose calls run at one place only.
type unhedged struct{ policy.Adaptive }

// Plan settles what Adaptive does, without hedging.
func (u unhedged) Plan(v *policy.View) []policy.Standing {
	next := u.Adaptive.Plan(v)
	for i := range next {
		next[i].Hedge = 0
	}
	return next
}

// adaptive is the policy that chooses fidelities, too.
const adaptive = "adaptive"

// read reads the requirements. Where none are named, the function's mark has one.
func (o *options) read() (err error) {
	if o.policy != adaptive {
		o.levels = 1
	}
	o.require = policy.Requirements{Latency: detectObjectsFunc.Deadline}
	if o.requirements == "" {
		return nil
	}
	if o.require, err = policy.ParseRequirements(o.requirements); err != nil {
		return fmt.Errorf("%w: -requirements: %w", errUsage, err)
	}
	return nil
}

func (o *options) check(rest int) error {
	wrong := func(what string) error { return fmt.Errorf("%w: %s", errUsage, what) }
	switch {
	case rest > 0:
		return wrong("yolo-demo takes flags only")
	case o.frames < 1:
		return wrong("-frames must be 1 or more")
	case policies[o.policy] == nil:
		return wrong("-policy must be toggle, threshold or adaptive")
	case o.levels < 1 || o.levels > len(steps):
		return wrong(fmt.Sprintf("-levels must be 1 to %d", len(steps)))
	case !(o.maxTemp >= 0 && o.maxTemp <= 150):
		return wrong("-max-temperature must be 0 to 150 °C")
	case o.toggle < 0:
		return wrong("-toggle must be 0 or more")
	case o.fps < 0 || o.fps > 1000:
		return wrong("-fps must be 0 to 1000")
	case o.ueCPU < 0 || o.ueCPU > 1024:
		return wrong("-ue-cpu must be a share of a core, such as 0.25")
	case o.quality < 1 || o.quality > 100:
		return wrong("-quality must be 1 to 100")
	case o.host != "wasm" && o.host != "native":
		return wrong("-host must be wasm or native")
	case !isTransport(o.over):
		return wrong("-over must be auto, quic or tcp")
	case o.host == "native" && (o.edge != "" || o.manager != ""):
		return wrong("-host is for the edge hosts that the demo starts; running ones are as they are")
	case o.edge != "" && o.manager != "":
		return wrong("-edge and -manager exclude each other: a manager says which edge host")
	case !areAddresses(o.manager):
		return wrong("-manager must be host:port, such as manager.example:4434; several have commas between them")
	case o.socket != "" && o.manager == "":
		return wrong("-socket is that of a manager: name it with -manager")
	}
	return nil
}
