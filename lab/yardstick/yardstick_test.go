package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificates writes a certificate that is its own authority and fits both
// roles.
func certificates(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	for name, b := range map[string][]byte{"ca.pem": cert, "ue.pem": cert, "host.pem": cert, "ue.key": private, "host.key": private} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// started starts "serve" and returns its addresses.
func started(t *testing.T, dir string) addresses {
	t.Helper()
	conf, err := loadTLS(dir, "host")
	if err != nil {
		t.Fatal(err)
	}
	end, in := io.Pipe()
	out, answers := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serveUntilEOF(conf, end, answers) }()
	t.Cleanup(func() {
		in.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	var a addresses
	if err := json.NewDecoder(out).Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestBatches(t *testing.T) {
	dir := certificates(t)
	at := started(t, dir)
	tests := []struct {
		why   string
		batch batch
		err   string
	}{
		{"gRPC, one in flight", batch{Transport: "grpc", Address: at.GRPC, Requests: 20, In: 1024, Out: 1024}, ""},
		{"gRPC without protobuf", batch{Transport: "grpcraw", Address: at.GRPC, Requests: 20, In: 1024, Out: 512}, ""},
		{"its connection is kept", batch{Transport: "grpc", Address: at.GRPC, Requests: 3, In: 4, Out: 4}, ""},
		{"the bare stream, one in flight", batch{Transport: "tcp", Address: at.TCP, Requests: 20, In: 1024, Out: 512}, ""},
		{"answers keep their order", batch{Transport: "tcp", Address: at.TCP, Requests: 64, In: 100 << 10, Out: 100 << 10, InFlight: 16}, ""},
		{"many streams of gRPC", batch{Transport: "grpc", Address: at.GRPC, Requests: 64, In: 100 << 10, Out: 100 << 10, InFlight: 16}, ""},
		{"at a rate", batch{Transport: "grpc", Address: at.GRPC, Requests: 5, In: 64, Out: 64, Rate: 1000}, ""},
		{"no such transport", batch{Transport: "udp", Requests: 1, In: 4, Out: 4}, `no transport "udp"`},
		{"an answer without room for the checksum", batch{Transport: "tcp", Requests: 1, In: 4, Out: 3}, "messages have 4 to"},
		{"nothing to measure", batch{Transport: "tcp", In: 4, Out: 4}, "there is one at least"},
		{"after errors, too", batch{Transport: "tcp", Address: at.TCP, Requests: 1, In: 4, Out: 4}, ""},
	}
	var in, out bytes.Buffer
	for _, tt := range tests {
		if err := json.NewEncoder(&in).Encode(tt.batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := run([]string{"load", "-certs", dir}, &in, &out); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(&out)
	for _, tt := range tests {
		var m measured
		if err := d.Decode(&m); err != nil {
			t.Fatalf("%s: %v", tt.why, err)
		}
		if tt.err != "" {
			if !strings.Contains(m.Error, tt.err) {
				t.Errorf("%s: %+v: error %q, want %q in it", tt.why, tt.batch, m.Error, tt.err)
			}
			continue
		}
		if m.Error != "" || len(m.Micros) != tt.batch.Requests || m.PerSecond <= 0 || m.Allocs <= 0 {
			t.Errorf("%s: %+v: measured %+v; want %d latencies", tt.why, tt.batch, m, tt.batch.Requests)
		}
	}
}

// A stranger's certificate lets nobody in: the yardstick pays for mutual TLS as
// elastic channels do.
func TestStrangersStayOutside(t *testing.T) {
	at := started(t, certificates(t))
	conf, err := loadTLS(certificates(t), "ue")
	if err != nil {
		t.Fatal(err)
	}
	for kind, address := range map[string]string{"grpc": at.GRPC, "tcp": at.TCP} {
		b := batch{Transport: kind, Address: address, Requests: 1, In: 4, Out: 4}
		if m, err := b.run(conf, map[string]transport{}); err == nil {
			t.Errorf("%s: %+v; want an error of TLS", kind, m)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"sing"}, {"load"}, {"serve", "-certs", t.TempDir()}} {
		if err := run(args, strings.NewReader(""), io.Discard); err == nil {
			t.Errorf("run %q gave no error", args)
		}
	}
}

func TestAnswerRefusesBadRequests(t *testing.T) {
	for _, request := range [][]byte{nil, {0, 0, 1}, {0, 0, 0, 3}, {0xff, 0xff, 0xff, 0xff}} {
		if b, err := answer(nil, request); err == nil {
			t.Errorf("answer of request %x has %d bytes; want an error", request, len(b))
		}
	}
}
