package marked

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/bungee-xr/bungee/elastic"
)

// Without a router the elastic versions are the native ones.
func TestNative(t *testing.T) {
	request := []byte{1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 99}
	reply, err := Exchange(t.Context(), request)
	if err != nil || len(reply) != AnswerSize || binary.LittleEndian.Uint64(reply) != 3+1<<56 {
		t.Errorf("Exchange = %d bytes, %x, %v; want %d, and the sum of two words", len(reply), reply[:8], err, AnswerSize)
	}
	if _, err := Exchange(t.Context(), request[:7]); err == nil {
		t.Error("Exchange of less than a word gave no error")
	}
	elastic, err := Next(t.Context(), 1)
	plain, errPlain := Plain(t.Context(), 1)
	if elastic != 2 || plain != 2 || err != nil || errPlain != nil {
		t.Errorf("Next = %d, %v and Plain = %d, %v; want 2", elastic, err, plain, errPlain)
	}
}

// A ledger counts the queries, chains them, works as long as it is told, and keeps that
// much state.
func TestLedger(t *testing.T) {
	ch, err := OpenLedger(elastic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	var chain uint64
	for seq := uint64(1); seq <= 3; seq++ {
		q := Query{Seq: seq, Want: 5, Pad: 64, Work: 1, Body: []byte{byte(seq)}}
		if err := ch.Send(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		r, err := ch.Recv(t.Context())
		chain = Step(chain, seq, crc32.ChecksumIEEE(q.Body))
		if a := r.Value; err != nil || a.Count != seq || a.Chain != chain || len(a.Body) != 5 {
			t.Errorf("query %d: %+v, %v; want count %d, chain %d and 5 bytes", seq, a, err, seq, chain)
		}
	}
	var l ledger
	ignore := func(Answer) error { return nil }
	if err := l.Handle(t.Context(), Query{Pad: 1 << 10}, ignore); err != nil || len(l.Pad) != 1<<10 {
		t.Errorf("after Pad 1024 the state has %d bytes, %v", len(l.Pad), err)
	}
}
