// Sequences handed to workers that end, are full, or serve another model: each comes whole, as if one had generated it.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ClusterEngine } from "../../../../cli/shared/cluster/cluster_engine.ts";
import { startEngineService } from "../../../../cli/shared/cluster/engine_service.ts";
import type {
  Engine,
  GeneratedToken,
  Generation,
  SequenceRequest,
} from "../../../../cli/shared/generation/engine.ts";
import { delay } from "../../../../src/cluster/delay.ts";
import { type Cluster, NoWorkerError, WorkerLostError } from "../../../../src/cluster/mod.ts";
import { PoolExhaustedError } from "../../../../mod.ts";
import { seedFrom } from "../../../../src/base/random.ts";
import { NatsServer, testNats } from "../../../support/nats.ts";
import { until } from "../../../support/within.ts";

const END = 0;
const CONTEXT = 200;
const VOCABULARY = 1000;

/** The token after others; one in a vocabulary ends a text. */
function nextToken(tokens: readonly number[], seed: number): number {
  return seedFrom(`${seed} ${tokens.join(" ")}`) % VOCABULARY;
}

/** The tokens of a sequence that nothing disturbs. */
function undisturbed({ tokens, maxTokens, seed }: SequenceRequest): number[] {
  const added: number[] = [];
  while (added.length < maxTokens && added.at(-1) !== END) {
    added.push(nextToken([...tokens, ...added], seed));
  }
  return added;
}

/** Generates without a model, one to three tokens at a time; at most `slots` sequences at once. */
class HashEngine implements Engine {
  readonly contextLen = CONTEXT;
  readonly asked: SequenceRequest[] = [];
  running = 0;
  cancelled = 0;
  constructor(readonly slots = 1000, readonly onToken: () => void = () => {}) {}

  submit(request: SequenceRequest): Generation {
    if (request.topK !== 0) throw new RangeError("topK is not supported");
    this.asked.push(request);
    this.running++;
    const rest = undisturbed(request);
    let isCancelled = false;
    const cancel = () => {
      isCancelled = true;
      this.cancelled++;
    };
    const run = async function* (this: HashEngine) {
      try {
        while (rest.length > 0 && !isCancelled) {
          await delay(1);
          this.onToken();
          yield rest.splice(0, 1 + rest.length % 3).map((token) => ({ token }));
        }
      } finally {
        this.running--;
      }
    };
    return { cancel, [Symbol.asyncIterator]: run.bind(this) };
  }

  stats() {
    const { running, slots } = this;
    const waiting = Math.max(0, running - slots);
    return { places: slots, running, waiting, tokens: { prompt: 0, generated: 0 }, seconds: 0 };
  }

  destroy(): void {}
}

function request(fields: Partial<SequenceRequest>): SequenceRequest {
  return {
    ...{ tokens: [1], maxTokens: 60, endTokens: [END], temperature: 1, topP: 1, topK: 0, minP: 0 },
    ...{ repetitionPenalty: 1, frequencyPenalty: 0, presencePenalty: 0 },
    ...{ logitBias: new Map(), seed: 0 },
    ...fields,
  };
}

async function collect(generation: Generation): Promise<number[]> {
  const tokens: number[] = [];
  for await (const part of generation) tokens.push(...part.map(({ token }) => token));
  return tokens;
}

const worker = (cluster: Cluster, engine: Engine, fingerprint = "f") =>
  startEngineService(cluster, () => engine, { fingerprint, contextLen: CONTEXT, maxQueue: 1 });

const open = (cluster: Cluster, patience?: number) =>
  ClusterEngine.open(cluster, {
    ...{ fingerprint: "f", contextLen: CONTEXT, vocabSize: VOCABULARY, silence: 50, patience },
  });

testNats(
  "ClusterEngine: sequences of workers that end go on elsewhere, token for token",
  async (random) => {
    await using server = await NatsServer.start();
    const steady = new HashEngine();
    await worker(await server.join(), steady);
    const mortals: HashEngine[] = [];
    const addMortal = async () => {
      const cluster = await server.join();
      // A sequence may lose four workers in a row.
      let left = mortals.length < 4 ? random.integer(60, 150) : Infinity;
      const engine = new HashEngine(1000, () => {
        if (--left === 0) void cluster.connection.close().then(addMortal);
      });
      mortals.push(engine);
      await worker(cluster, engine);
    };
    for (let i = 0; i < 3; i++) await addMortal();
    const engine = await open(await server.join());
    const requests = Array.from({ length: 40 }, () =>
      request({
        tokens: Array.from({ length: random.integer(1, 9) }, () => random.integer(1, 9)),
        maxTokens: random.integer(1, 190),
        seed: random.integer(0, 2 ** 32 - 1),
      }));
    const texts = await Promise.all(requests.map((each) => collect(engine.submit(each))));
    assertEquals(texts, requests.map(undisturbed));
    const asked = [steady, ...mortals].reduce((sum, { asked }) => sum + asked.length, 0);
    assert(mortals.length > 3 && asked > requests.length, "workers ended within sequences");
    const { running, waiting, tokens } = engine.stats();
    assertEquals([running, waiting, tokens.generated], [0, 0, texts.flat().length]);
    engine.destroy();
  },
);

testNats(
  "ClusterEngine: full workers are not asked, and who waits goes on when there is room",
  async () => {
    await using server = await NatsServer.start();
    const engines = [new HashEngine(1), new HashEngine(2)];
    for (const engine of engines) await worker(await server.join(), engine);
    // Two gateways, which do not know of each other.
    const gateways = [await open(await server.join()), await open(await server.join())];
    await until(() => gateways.every(({ workers }) => workers >= 2), "both workers");
    const requests = Array.from({ length: 12 }, (_, seed) => request({ seed }));
    const texts = await Promise.all(
      requests.map((each, i) => collect(gateways[i % 2].submit(each))),
    );
    assertEquals(texts, requests.map(undisturbed));
    assert(engines.every(({ asked }) => asked.length > 1), "all were asked");
    for (const gateway of gateways) gateway.destroy();
  },
);

testNats("ClusterEngine: a cancelled sequence ends here and there, wherever it is", async () => {
  await using server = await NatsServer.start();
  const far = new HashEngine(1);
  await worker(await server.join(), far);
  const engine = await open(await server.join());
  const long = request({ maxTokens: 150, endTokens: [] });
  const running = engine.submit(long);
  for await (const _ of running) running.cancel();
  await until(() => far.running === 0, "the end of the cancelled sequence");
  assertEquals(far.cancelled, 1);
  const never = engine.submit(long);
  assertEquals(engine.stats().waiting, 1);
  never.cancel();
  assertEquals(await collect(never), []);
  const { running: left, waiting } = engine.stats();
  assertEquals([left, waiting, far.asked.length], [0, 0, 1]);
  // Those that run and those that wait end with the engine.
  const [first, ...others] = [1, 2, 3].map((seed) => collect(engine.submit({ ...long, seed })));
  await until(() => far.asked.length >= 2, "the next sequence");
  engine.destroy();
  for (const tokens of await Promise.all([first, ...others])) assert(tokens.length < 150);
});

testNats(
  "ClusterEngine: without a worker of the model, or one that bears the sequence, it is an error",
  async () => {
    await using server = await NatsServer.start();
    await worker(await server.join(), new HashEngine(), "another");
    const impatient = await open(await server.join(), 500);
    const error = await assertRejects(
      () => collect(impatient.submit(request({}))),
      NoWorkerError,
    );
    assert(error.message.endsWith("of other models or files 1"), error.message);
    impatient.destroy();
    const engine = await open(await server.join());
    assertThrows(() => engine.submit(request({ maxTokens: CONTEXT })), RangeError, "needed=201");

    const ends = async () => {
      const cluster = await server.join();
      await worker(cluster, new HashEngine(1000, () => void cluster.connection.close()));
    };
    for (let i = 0; i < 6; i++) await ends();
    await assertRejects(() => collect(engine.submit(request({}))), WorkerLostError);
    // Penalties tell generated tokens from those of the prompt: who continues is told how many they are.
    const cluster = await server.join();
    let portions = 0;
    const onToken = () => ++portions === 9 && void cluster.connection.close();
    await worker(cluster, new HashEngine(1000, onToken));
    const penalized = request({ presencePenalty: 1, endTokens: [] });
    const tokens = collect(engine.submit(penalized));
    await until(() => portions >= 9, "nine portions");
    const next = new HashEngine();
    await worker(await server.join(), next);
    assertEquals(await tokens, undisturbed(penalized));
    const [{ tokens: prompt, generated }] = next.asked;
    assertEquals(generated, prompt.length - 1);
    assert(generated !== undefined && generated > 0);
    const refused = () => collect(engine.submit(request({ topK: 3 })));
    await assertRejects(refused, RangeError, "topK is not supported");
    engine.destroy();
  },
);

testNats("ClusterEngine: a worker that was busy still counts with its context", async () => {
  await using server = await NatsServer.start();
  let refused = 0;
  const full = new HashEngine();
  full.submit = () => {
    refused++;
    throw new PoolExhaustedError("no pages are left");
  };
  await worker(await server.join(), full);
  const engine = await ClusterEngine.open(await server.join(), {
    ...{ fingerprint: "f", contextLen: 1, vocabSize: VOCABULARY },
  });
  const waiting = engine.submit(request({}));
  const tokens = collect(waiting);
  await until(() => refused > 0, "a refusal");
  const seen = new Set<string>();
  for (let i = 0; i < 50; i++) {
    seen.add(`${engine.contextLen} ${engine.stats().places}`);
    await delay(5);
  }
  assertEquals([...seen], [`${CONTEXT} 1000`]);
  waiting.cancel();
  await tokens;
  engine.destroy();
});

testNats("ClusterEngine: a worker that starts is waited for, however long it takes", async () => {
  await using server = await NatsServer.start();
  const engine = new HashEngine();
  let ready: Engine | undefined = undefined;
  const options = { fingerprint: "f", contextLen: CONTEXT, maxQueue: 1 };
  await startEngineService(await server.join(), () => ready, options);
  const gateway = await open(await server.join(), 20);
  await until(() => gateway.workers > 0, "the worker");
  assertEquals([gateway.workers, gateway.stats().places], [1, 0]);
  const tokens = collect(gateway.submit(request({})));
  await delay(600);
  ready = engine;
  assertEquals(await tokens, undisturbed(request({})));
  gateway.destroy();
});

testNats("ClusterEngine: sequences of a worker that lies go on at an honest one", async () => {
  const lies: readonly (readonly GeneratedToken[])[] = [
    // None of its tokens, some of them, none of the vocabulary, none of the protocol.
    ...[[], [{ token: 5 }], [{ token: VOCABULARY }], ["token" as unknown as GeneratedToken]],
  ];
  await using server = await NatsServer.start();
  await worker(await server.join(), new HashEngine());
  let lied = 0;
  const liar = {
    ...{ contextLen: CONTEXT, destroy() {}, stats: () => new HashEngine().stats() },
    submit: ({ tokens, seed }: SequenceRequest): Generation => ({
      cancel() {},
      async *[Symbol.asyncIterator]() {
        const lie = lies[lied++ % lies.length];
        yield lie.map(({ token, ...rest }) =>
          token === 5 ? { token: nextToken(tokens, seed) } : { token, ...rest }
        );
      },
    }),
  };
  await worker(await server.join(), liar);
  const engine = await open(await server.join());
  while (lied < lies.length) {
    const requests = [0, 1].map((one) => request({ seed: 2 * lied + one }));
    const texts = await Promise.all(requests.map((each) => collect(engine.submit(each))));
    assertEquals(texts, requests.map(undisturbed));
  }
  engine.destroy();
});

testNats(
  "ClusterEngine: a client that leaves while its worker ends is asked for nowhere",
  async () => {
    await using server = await NatsServer.start();
    const cluster = await server.join();
    const engine = await open(await server.join());
    let leave = () => {};
    const mortal = new HashEngine(1000, () => {
      leave();
      void cluster.connection.close();
    });
    await worker(cluster, mortal);
    await until(() => engine.workers > 0, "the worker");
    const running = engine.submit(request({ endTokens: [] }));
    leave = running.cancel;
    const tokens = collect(running);
    const next = new HashEngine();
    await worker(await server.join(), next);
    assertEquals(await tokens, []);
    const { running: left, waiting } = engine.stats();
    assertEquals([left, waiting, next.asked], [0, 0, []]);
    engine.destroy();
  },
);

testNats(
  "ClusterEngine: sequences are whole though the server is killed and starts anew",
  async () => {
    await using server = await NatsServer.start();
    const join = () =>
      server.join({ reconnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    let restarted: Promise<void> | undefined;
    let left = 300;
    const onToken = () => {
      if (--left === 0) restarted = server.restart();
    };
    for (let i = 0; i < 2; i++) await worker(await join(), new HashEngine(1000, onToken));
    const engine = await open(await join());
    const requests = Array.from(
      { length: 8 },
      (_, seed) => request({ seed, maxTokens: 190 }),
    );
    const texts = await Promise.all(requests.map((each) => collect(engine.submit(each))));
    assertEquals(texts, requests.map(undisturbed));
    await restarted;
    assert(restarted, "the server was killed");
    engine.destroy();
  },
);
