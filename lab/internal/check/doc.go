// Package check proves the contract of elastic channels, or finds where it breaks.
//
// It runs real channels (package elastic) against real edge hosts with native far
// endpoints, over package link on the network of package radio, in the virtual time
// of testing/synctest. What happens to them is a [Script], drawn from a seed: moves, Places of an offload manager, which may come
// again or be overtaken, crashes, silent hosts, packets lost, doubled and late, changes of the UE's
// address, slow ends, full windows. Meanwhile it holds what the channels do against
// what they promise:
//
//   - Ordered: the results are those of handling all messages one after the other,
//     each once, in order, and each shows by a hash the state that it came from;
//   - Latest: no result comes twice or after a newer one's, what is left out adds
//     up, and each state followed from one that there was;
//   - an owner that another one followed has no further result;
//   - an endpoint that is not idempotent is given no message twice, and its channel
//     ends with elastic.ErrLost where the contract says so;
//   - what a channel keeps stays within its window;
//   - no host stands by that the last Place of an offload manager does not name;
//   - each call returns, each goroutine ends.
//
// # The adversary
//
// Scripts that [Attack] draws do worse: messages that break their far endpoint or overrun
// their deadline (see poison), states that a host refuses to give or take, slow links,
// receivers that pause for long, moves beside each other, sends beside Shutdown, a host
// that comes back with another certificate. They judge more, too:
//
//   - no panic leaves a channel; a message that breaks its far endpoint has a
//     [offload.CallError], one that overran its value or [offload.ErrDeadline], and the
//     state goes on from what was delivered;
//   - a channel leaves no host without a fault that the script did to it, or a message
//     that overran, and then not more than two hosts for each;
//   - a fallback goes to a healthy standby, and lasts no longer than the script explains;
//   - checkpoints and replays are bounded by what was sent and moved;
//   - a move fails and lasts only for a fault of either host, and when it fails the far
//     endpoint is where it was; a drain with time enough is heeded; Close returns soon;
//   - nothing comes after Ended; a host of another authority is given nothing.
//
// Scripts run in child processes of the program (see [Seeds.Run]): one that ends its
// process has failed like any other. testdata/adversary keeps some that failed.
//
// A script that fails is shrunk to a short one. Its text form can be run again, and
// is kept in testdata/regressions as a test:
//
//	net seed=7 delay=5ms
//	channel standby=B window=16
//	send n=20 size=100 every=1ms
//	move host=A
//	crash host=A
//
// # What a seed decides
//
// The script, and which packets are struck. Not how goroutines take turns, nor the
// keys of the connections: a script may fail in some runs only.
package check
