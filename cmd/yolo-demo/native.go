//go:build cgo && opencv

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/catalog"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
	"github.com/bungee-xr/bungee/internal/identity"
)

// nativeHostCommand makes this program an edge host which runs the native
// version of detectObjects: the same host without Wasm, to see what Wasm costs.
const nativeHostCommand = "native-host"

// nativeEngine runs this program's own detectObjects in place of modules.
var nativeEngine = native.Engine{Functions: func() []native.Func {
	functions := make([]native.Func, detectObjectsFunc.Index+1)
	for i := range functions {
		functions[i] = func(context.Context, []byte, []byte) ([]byte, error) { return nil, executor.ErrNotStarted }
	}
	functions[detectObjectsFunc.Index] = func(ctx context.Context, request, dst []byte) ([]byte, error) {
		var t nn.Timings
		dst = detectObjectsFunc.Serve(nn.WithTimings(ctx, &t), request, dst)
		executor.AddSpan(ctx, "nn.decode", t.Decode)
		executor.AddSpan(ctx, "nn.letterbox", t.Letterbox)
		executor.AddSpan(ctx, "nn.compute", t.Compute)
		executor.AddSpan(ctx, "nn.queue", t.Queue)
		return dst, nil
	}
	return functions
}}

// nativeHost is "yolo-demo native-host": it takes the flags of "bungee host"
// that the demo gives it.
func nativeHost(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet(nativeHostCommand, flag.ContinueOnError)
	certs := fs.String("certs", "", "")
	listen := fs.String("listen", "", "")
	name := fs.String("name", "", "")
	model := fs.String("model", "", "")
	head := fs.String("head", "", "")
	input := fs.Int("input", 0, "")
	manager := fs.String("manager", "", "")
	label := fs.String("label", "", "")
	fs.String("nn", "", "")
	fs.Bool("until-eof", true, "")
	if err := fs.Parse(args); err != nil {
		return errors.Join(errUsage, err)
	}
	conf, err := identity.Load(*certs, identity.Host)
	if err != nil {
		return err
	}
	found, err := catalog.Resolve(ctx, *model, catalog.Options{Head: *head, InputSize: *input})
	if err != nil {
		return err
	}
	cores := runtime.GOMAXPROCS(0)
	b, err := opencv.New(opencv.Config{Nets: cores, Models: []opencv.Model{found.Model}})
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.Warm(ctx, found.Model.Name, cores); err != nil {
		return err
	}
	nn.Use(b)
	h, err := host.New(host.Config{
		Name: *name, Engine: nativeEngine, TLS: conf, Manager: &host.Manager{Addresses: []string{*manager}, Labels: []string{*label}},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	pc, err := net.ListenPacket("udp", *listen)
	if err != nil {
		return err
	}
	fmt.Println("listening on", pc.LocalAddr())
	go func() { // the parent's end is ours
		io.Copy(io.Discard, os.Stdin)
		h.Close()
	}()
	return h.Serve(ctx, pc)
}
