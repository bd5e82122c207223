//go:build cgo && opencv

#include "net.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

#include <opencv2/core/utility.hpp>
#include <opencv2/dnn.hpp>

struct bungee_net {
    cv::dnn::Net net;
    std::vector<cv::String> names; // of the outputs
    std::vector<cv::Mat> outs;     // of the last forward: headers, no copies
};

// guarded runs f and tells whether it ended without an exception. What an
// exception said goes to err.
template <typename F>
static bool guarded(char *err, size_t n, F f) {
    try {
        f();
        return true;
    } catch (const std::exception &e) {
        snprintf(err, n, "%s", e.what());
    } catch (...) {
        snprintf(err, n, "unknown C++ exception");
    }
    return false;
}

// numbers returns how many numbers of Darknet weights a network holds.
static size_t numbers(cv::dnn::Net &net) {
    size_t sum = 0;
    for (const cv::String &name : net.getLayerNames()) {
        cv::Ptr<cv::dnn::Layer> layer = net.getLayer(name);
        if (layer->type == "Region") {
            continue; // its anchors come from the cfg
        }
        for (const cv::Mat &m : layer->blobs) {
            sum += m.total();
        }
    }
    return sum;
}

// header returns the size of a weights file's header: major, minor, revision,
// and the images seen, which take 8 bytes from version 0.2 on.
static size_t header(const char *weights, size_t n) {
    int version[2] = {0, 0};
    std::memcpy(version, weights, std::min(n, sizeof version));
    return version[0] * 10LL + version[1] >= 2 ? 20 : 16;
}

// read_darknet reads a Darknet network. OpenCV itself reads past the end of the
// weights without a word and leaves garbage.
static cv::dnn::Net read_darknet(const char *weights, size_t n, const char *cfg, size_t cfg_len) {
    cv::dnn::Net net = cv::dnn::readNetFromDarknet(cfg, cfg_len, weights, n);
    size_t want = header(weights, n) + 4 * numbers(net);
    if (n < want) {
        CV_Error(cv::Error::StsError,
                 cv::format("the cfg asks for %zu bytes of weights; there are %zu", want, n));
    }
    return net;
}

bungee_net *bungee_net_read(const char *model, size_t model_len, const char *cfg,
                            size_t cfg_len, char *err, size_t n) {
    bungee_net *b = nullptr;
    bool ok = guarded(err, n, [&] {
        b = new bungee_net;
        b->net = cfg ? read_darknet(model, model_len, cfg, cfg_len)
                     : cv::dnn::readNetFromONNX(model, model_len);
        if (b->net.empty()) {
            CV_Error(cv::Error::StsError, "the network has no layers");
        }
        b->net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
        b->net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
        b->names = b->net.getUnconnectedOutLayersNames();
    });
    if (!ok) {
        delete b;
        return nullptr;
    }
    return b;
}

int bungee_net_forward(bungee_net *b, const float *data, int h, int w, char *err, size_t n) {
    bool ok = guarded(err, n, [&] {
        const int dims[] = {1, 3, h, w};
        // setInput copies, so the cast lets nothing be written.
        b->net.setInput(cv::Mat(4, dims, CV_32F, const_cast<float *>(data)));
        b->net.forward(b->outs, b->names);
    });
    return ok ? int(b->outs.size()) : -1;
}

const float *bungee_net_output(bungee_net *b, int i, int *dims, int max, int *rank) {
    const cv::Mat &m = b->outs[i];
    if (m.empty() || m.type() != CV_32F || !m.isContinuous() || m.dims > max) {
        return nullptr;
    }
    *rank = m.dims;
    for (int k = 0; k < m.dims; k++) {
        dims[k] = m.size[k];
    }
    return m.ptr<float>();
}

void bungee_net_free(bungee_net *b) { delete b; }

void bungee_set_threads(int n) { cv::setNumThreads(n); }
