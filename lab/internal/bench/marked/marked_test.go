package marked

import (
	"encoding/binary"
	"testing"
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
