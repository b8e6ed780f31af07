// A client that has nothing of this project but its .proto files: node decide.mjs <folder of protos> <address> <request as JSON>.
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [folder, address, request] = process.argv.slice(2);
const definition = loader.loadSync("touchpoint/v1/decision_service.proto", {
  includeDirs: [folder],
  keepCase: true,
  longs: String,
  enums: String,
  oneofs: true,
});
const { DecisionService } = grpc.loadPackageDefinition(definition).touchpoint.v1;
const client = new DecisionService(address, grpc.credentials.createInsecure());
const deadline = new Date(Date.now() + 10000);
client.Decide(JSON.parse(request), new grpc.Metadata(), { deadline }, (error, answer) => {
  if (error) {
    console.error(`${error.code} ${error.details}`);
    process.exit(1);
  }
  console.log(JSON.stringify(answer));
  client.close();
});
