/** The systems that `--peers` and `matrix` hold ours against. */
import { jaxJs } from "./jax_js.ts";
import { onnxRuntimeCpu } from "./onnx_runtime_cpu.ts";
import { onnxRuntimeWebGpu } from "./onnx_runtime_webgpu.ts";
import { LoadError, type Peer, type PeerPackage } from "./peer.ts";
import { tfjs } from "./tfjs.ts";

export const PEERS: readonly PeerPackage[] = [jaxJs, tfjs, onnxRuntimeWebGpu, onnxRuntimeCpu];

/** Loads all of them, one after the other. */
export async function loadPeers(): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const peer of PEERS) peers.push(await loadPeer(peer));
  return peers;
}

/** Loads a system; where that fails, everything it is asked to prepare says so. */
export async function loadPeer(
  { name, load }: Pick<PeerPackage, "name" | "load">,
): Promise<Peer> {
  try {
    return { name, ...await load() };
  } catch (error) {
    const reason = new LoadError(error);
    const reject = () => Promise.reject(reason);
    return { name, prepare: reject, prepareGradient: reject };
  }
}
