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
	"github.com/bungee-xr/bungee/executor/nn"
	"github.com/bungee-xr/bungee/executor/nn/catalog"
	"github.com/bungee-xr/bungee/executor/nn/opencv"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/identity"
)

// nativeHostCommand makes this program an edge host which runs the native
// version of detectObjects: the same host without Wasm, to see what Wasm costs.
const nativeHostCommand = "native-host"

// nativeEngine is an executor.Engine whose one module is this program's own
// elastic function, whatever bytes it is given.
type nativeEngine struct{}

type nativeModule struct{}

type nativeInstance struct{ reply []byte }

func (nativeEngine) Load(context.Context, []byte) (executor.Module, error) {
	return nativeModule{}, nil
}
func (nativeEngine) Close() error { return nil }

func (nativeModule) Instantiate(context.Context, executor.InstanceConfig) (executor.Instance, error) {
	return &nativeInstance{}, nil
}
func (nativeModule) Close() error { return nil }

func (i *nativeInstance) Call(ctx context.Context, fn uint32, request []byte) (executor.Reply, error) {
	if fn != detectObjectsFunc.Index {
		return executor.Reply{}, executor.ErrNotStarted
	}
	var t nn.Timings
	i.reply = detectObjectsFunc.Serve(nn.WithTimings(ctx, &t), request, i.reply[:0])
	executor.AddSpan(ctx, "nn.decode", t.Decode)
	executor.AddSpan(ctx, "nn.letterbox", t.Letterbox)
	executor.AddSpan(ctx, "nn.compute", t.Compute)
	executor.AddSpan(ctx, "nn.queue", t.Queue)
	return abi.ParseReply(i.reply)
}

func (*nativeInstance) Close() error { return nil }

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
		Name: *name, Engine: nativeEngine{}, TLS: conf,
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
