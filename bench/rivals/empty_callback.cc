// An empty unary handler on gRPC's C++ callback API, the fastest that gRPC C++ has: raw bytes in and out, answered on the thread that read them.
// Answers an empty message to Decide and DecideBatch; prints its address and serves until SIGTERM.

#include <grpcpp/generic/async_generic_service.h>  // brings the service, its methods and how bytes are passed on
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <signal.h>

#include <cstdio>
#include <memory>
#include <string>

namespace {

class Empty final : public grpc::Service {
 public:
  Empty() {
    for (const char* path : {"/touchpoint.v1.DecisionService/Decide", "/touchpoint.v1.DecisionService/DecideBatch"}) {
      AddMethod(new grpc::internal::RpcServiceMethod(path, grpc::internal::RpcMethod::NORMAL_RPC, nullptr));
      MarkMethodCallback(next_++, new grpc::internal::CallbackUnaryHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
                                      [this](grpc::CallbackServerContext* context, const grpc::ByteBuffer*,
                                             grpc::ByteBuffer* answer) {
                                        *answer = answer_;
                                        grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
                                        reactor->Finish(grpc::Status::OK);
                                        return reactor;
                                      }));
    }
  }

 private:
  int next_ = 0;
  const grpc::Slice slice_;
  const grpc::ByteBuffer answer_{&slice_, 1};
};

}  // namespace

int main() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before any thread starts, so that all inherit it

  Empty service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 10000);
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) return 1;
  std::printf("127.0.0.1:%d\n", port);
  std::fflush(stdout);
  int received = 0;
  sigwait(&signals, &received);
  server->Shutdown();
  return 0;
}
