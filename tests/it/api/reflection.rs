//! What a client finds out by itself: reflection, as grpcurl uses it, and health.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use prost_types::FileDescriptorProto;
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::support::served::{Served, within};

const SERVICE: &str = "plimsoll.v1.LedgerService";

async fn ask(client: &mut ServerReflectionClient<Channel>, request: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer: ServerReflectionResponse = within("an answer", answers.next()).await.unwrap().unwrap();
    answer.message_response.unwrap()
}

fn files(answer: MessageResponse) -> Vec<FileDescriptorProto> {
    let MessageResponse::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
    files.file_descriptor_proto.iter().map(|file| FileDescriptorProto::decode(&file[..]).unwrap()).collect()
}

#[tokio::test]
async fn a_client_without_the_proto_files_can_call_everything() {
    let served = Served::new().await;
    let mut client = ServerReflectionClient::new(served.channel().await);
    let MessageResponse::ListServicesResponse(list) =
        ask(&mut client, MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list of services")
    };
    let names: BTreeSet<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(SERVICE) && names.contains("grpc.health.v1.Health"), "{names:?}");

    // As grpcurl does: the file of the service, and then every file that it needs.
    let mut known: BTreeMap<String, FileDescriptorProto> = BTreeMap::new();
    let mut wanted = files(ask(&mut client, MessageRequest::FileContainingSymbol(SERVICE.to_owned())).await);
    while let Some(file) = wanted.pop() {
        for dependency in &file.dependency {
            if !known.contains_key(dependency) {
                wanted.extend(files(ask(&mut client, MessageRequest::FileByFilename(dependency.clone())).await));
            }
        }
        known.insert(file.name().to_owned(), file);
    }
    let service =
        known.values().flat_map(|file| &file.service).find(|service| service.name() == "LedgerService").unwrap();
    let methods: Vec<(&str, bool, bool)> = service
        .method
        .iter()
        .map(|method| (method.name(), method.client_streaming(), method.server_streaming()))
        .collect();
    assert_eq!(
        methods,
        [
            ("Append", false, false),
            ("AppendStream", true, true),
            ("GetEvent", false, false),
            ("ReadStream", false, true),
            ("ReadAll", false, true),
            ("Subscribe", false, true),
            ("GetReceipt", false, false),
            ("GetCheckpoint", false, false),
            ("ListStreams", false, false),
            ("PutEvidence", true, false),
            ("GetEvidence", false, true),
        ]
    );
    let messages: BTreeSet<String> = known
        .values()
        .flat_map(|file| file.message_type.iter().map(|message| format!(".{}.{}", file.package(), message.name())))
        .collect();
    for method in &service.method {
        for name in [method.input_type(), method.output_type()] {
            assert!(messages.contains(name), "{name} is nowhere described");
        }
    }
    assert!(messages.contains(".google.protobuf.Timestamp"));
    // A symbol that is not there is an error, in the answer or as the status; never silence.
    let symbol = MessageRequest::FileContainingSymbol("plimsoll.v1.Nothing".to_owned());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let mut answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    match within("an answer", answers.next()).await.unwrap() {
        Ok(answer) => assert!(matches!(answer.message_response, Some(MessageResponse::ErrorResponse(_)))),
        Err(status) => assert_eq!(status.code(), tonic::Code::NotFound),
    }
    served.finish().await;
}

#[tokio::test]
async fn health_is_told_and_changes_when_the_server_stops() {
    let served = Served::new().await;
    let mut client = HealthClient::new(served.channel().await);
    for service in ["", SERVICE] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = client.check(request).await.unwrap().into_inner().status;
        assert_eq!(status, i32::from(ServingStatus::Serving), "{service:?}");
    }
    let unknown = HealthCheckRequest { service: "plimsoll.v1.Nothing".to_owned() };
    assert_eq!(client.check(unknown).await.unwrap_err().code(), tonic::Code::NotFound);
    let request = HealthCheckRequest { service: SERVICE.to_owned() };
    let mut watch = client.watch(request).await.unwrap().into_inner();
    let first = within("the health", watch.next()).await.unwrap().unwrap().status;
    assert_eq!(first, i32::from(ServingStatus::Serving));
    let stopping = tokio::spawn(served.stop());
    let told = within("the news", watch.next()).await.unwrap().unwrap().status;
    assert_eq!(told, i32::from(ServingStatus::NotServing));
    drop((watch, client));
    within("the end", stopping).await.unwrap();
}
