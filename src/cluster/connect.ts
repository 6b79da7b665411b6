/** Connects to a NATS server, so that a socket that breaks late cannot end the process. */
import { checkObject } from "../base/check.ts";
import { NatsConnectionImpl, setTransportFactory } from "@nats-io/transport-node";
import { nodeResolveHost, NodeTransport } from "@nats-io/transport-node/lib/node_transport.js";
import type { Connection } from "./cluster.ts";

/** What `connect` of `@nats-io/transport-node` takes. */
export interface ConnectOptions {
  /** A server, or several of one cluster: `nats://127.0.0.1:4222`. */
  servers?: string | string[];
  /** Any other option of that client. */
  [option: string]: unknown;
}

type Socket = Awaited<ReturnType<NodeTransport["dial"]>>;
type TlsSocket = Awaited<ReturnType<NodeTransport["startTLS"]>>;
type Host = Parameters<NodeTransport["tlsFirst"]>[0];

/**
 * Connects as `connect` of `@nats-io/transport-node` does, with its options and its errors. Under Deno a server that ends a
 * connection while the client still sends (wrong credentials, a kill) resets the socket after that client has stopped to listen to
 * it, and the error that nobody hears ends the process: here somebody listens until the socket is gone.
 *
 * @example
 * ```ts
 * import { connect } from "@onehead/attention/cluster";
 *
 * const join = async (servers: string) => ({ connection: await connect({ servers }), prefix: "a" });
 * console.log(typeof join); // join("nats://127.0.0.1:4222"), where a nats-server runs
 * ```
 *
 * @param options The servers, credentials, TLS and timeouts.
 * @throws {TypeError} If `options` is no object.
 * @throws {Error} If no server answers, or refuses the credentials: the client's own errors.
 */
export async function connect(options: ConnectOptions = {}): Promise<Connection> {
  checkObject("connect to NATS", "options", options);
  setTransportFactory({ factory: () => new HeardTransport(), dnsResolveFn: nodeResolveHost });
  return await NatsConnectionImpl.connect(options);
}

/** The client's transport over sockets that always have a listener to their errors. */
class HeardTransport extends NodeTransport {
  override async dial(host: Host): Promise<Socket> {
    return heard(await super.dial(host));
  }

  override async tlsFirst(host: Host): Promise<TlsSocket> {
    return heard(await super.tlsFirst(host));
  }

  override async startTLS(): Promise<TlsSocket> {
    return heard(await super.startTLS());
  }
}

/** Keeps one listener to a socket's errors when all are removed. What it hears, the client has heard or no longer needs. */
function heard<T extends Socket>(socket: T): T {
  const ignore = () => {};
  const remove = socket.removeAllListeners;
  socket.removeAllListeners = (...names) => {
    remove.apply(socket, names);
    // It is still there where those of another event were removed.
    return socket.off("error", ignore).on("error", ignore);
  };
  return socket.on("error", ignore);
}
