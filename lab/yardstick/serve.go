package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// head is the size of a message's head: how many bytes the answer is to have
// in a request, the checksum of the request in an answer.
const head = 4

// maxMessage bounds a message, as gRPC does by default.
const maxMessage = 4 << 20

// answer appends the answer of request to dst. It touches every byte of the
// request, as a far endpoint would.
func answer(dst, request []byte) ([]byte, error) {
	if len(request) < head {
		return nil, errors.New("request without a head")
	}
	n := int(binary.BigEndian.Uint32(request))
	if n < head || n > maxMessage {
		return nil, fmt.Errorf("answer of %d bytes wanted, not %d to %d", n, head, maxMessage)
	}
	dst = slices.Grow(dst, n)
	dst = binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(request))
	return append(dst, zeros[:n-head]...), nil
}

var zeros [maxMessage]byte

// A served is both transports being served, on ports of the loopback.
type served struct {
	addresses
	grpc *grpc.Server
	tcp  net.Listener
	wg   sync.WaitGroup
}

func serve(conf *tls.Config) (*served, error) {
	over, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	bare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, over.Close())
	}
	s := &served{
		addresses: addresses{over.Addr().String(), bare.Addr().String()},
		grpc:      grpc.NewServer(grpc.Creds(credentials.NewTLS(conf))),
		tcp:       tls.NewListener(bare, conf),
	}
	s.grpc.RegisterService(&service, nil)
	s.wg.Go(func() { s.grpc.Serve(over) }) // ends with close, and then has nothing to tell
	s.wg.Go(s.accept)
	return s, nil
}

func (s *served) accept() {
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			return
		}
		go serveStream(c) // ends with the other end's connection, or the process
	}
}

func (s *served) close() {
	s.grpc.Stop()
	s.tcp.Close()
	s.wg.Wait()
}

// service describes the unary methods, as protoc would from a .proto file.
var service = grpc.ServiceDesc{
	ServiceName: "bungee.Yardstick",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Exchange", Handler: exchange}, {MethodName: "ExchangeRaw", Handler: exchangeRaw}},
}

const (
	method    = "/bungee.Yardstick/Exchange"
	methodRaw = "/bungee.Yardstick/ExchangeRaw"
)

func exchange(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	request := new(wrapperspb.BytesValue)
	if err := decode(request); err != nil {
		return nil, err
	}
	reply, err := answer(nil, request.Value)
	return wrapperspb.Bytes(reply), err
}

func exchangeRaw(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	request := buffers.Get().(*[]byte)
	defer buffers.Put(request)
	if err := decode(request); err != nil {
		return nil, err
	}
	reply, err := answer(nil, *request)
	return &reply, err
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

func init() { encoding.RegisterCodecV2(raw{}) }

// raw is the codec of messages that are bytes: nothing is coded, and nothing
// copied on the way out.
type raw struct{}

func (raw) Name() string { return "raw" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	b := v.(*[]byte)
	if n := data.Len(); cap(*b) < n {
		*b = make([]byte, n)
	}
	*b = (*b)[:data.Len()]
	data.CopyTo(*b)
	return nil
}
