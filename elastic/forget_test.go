package elastic

import "testing"

// A checkpoint that the loss of its owner gave up does not count as taken: the next owner's
// is due as if there had been none.
func TestCheckpointThatWasGivenUpIsDueAgain(t *testing.T) {
	var s saves
	s.reset(checkpoint{seq: 10}, 10)
	s.begin()
	s.came(checkpoint{seq: 20}, 20, 15) // five outcomes are under way
	s.forget()
	if got := s.due(15, 5, false); got != atOnce || s.last.seq != 10 {
		t.Errorf("after a recovery from message %d a checkpoint every 5 messages is due %d at message 15, want from 10 and at once (%d)", s.last.seq, got, atOnce)
	}
}
