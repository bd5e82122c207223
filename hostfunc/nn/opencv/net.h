//go:build cgo && opencv

// Networks of OpenCV's DNN module behind functions that throw nothing.
//
// A function that takes err writes there, in at most n bytes with the zero,
// what went wrong, and returns NULL or -1.

#ifndef BUNGEE_OPENCV_NET_H
#define BUNGEE_OPENCV_NET_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bungee_net bungee_net;

// bungee_net_read makes a network of an ONNX file's bytes, or, where cfg is not
// NULL, of Darknet's weights and cfg. The bytes are not kept.
bungee_net *bungee_net_read(const char *model, size_t model_len, const char *cfg,
                            size_t cfg_len, char *err, size_t n);

// bungee_net_forward runs the network on the image tensor [1, 3, h, w] and
// returns how many outputs there are.
int bungee_net_forward(bungee_net *net, const float *data, int h, int w, char *err, size_t n);

// bungee_net_output returns output i of the last forward, which is valid until
// the next, and writes its shape: at most max dimensions to dims. It returns
// NULL where the output has no elements, more dimensions, or is not float32.
const float *bungee_net_output(bungee_net *net, int i, int *dims, int max, int *rank);

void bungee_net_free(bungee_net *net);

void bungee_set_threads(int n);

#ifdef __cplusplus
}
#endif

#endif
