import { assertEquals } from "@std/assert";
import { loadOf, WorkerChoice } from "../../../../cli/shared/cluster/worker_choice.ts";

const worker = (
  id: string,
  state: Partial<Record<"running" | "waiting" | "contextLen", number>>,
) => ({
  id,
  state: { running: 0, waiting: 0, maxQueue: 2, contextLen: 100, ...state },
});
const take = (choice: WorkerChoice, ...given: Parameters<WorkerChoice["take"]>) => {
  const taken = choice.take(...given);
  taken?.end();
  return taken?.id;
};
const tokens = (length: number, last = 0) => [...Array(length - 1).keys(), last];

Deno.test("WorkerChoice: who has room, then who has the least to do", () => {
  const choice = new WorkerChoice();
  const workers = [
    worker("full", { waiting: 2 }),
    worker("short", { contextLen: 9 }),
    worker("busy", { running: 2 }),
    worker("idle", {}),
  ];
  assertEquals(take(choice, workers, tokens(4), 10), "idle");
  const given = [1, 2, 3].map(() => choice.take([worker("idle", {})], tokens(4), 10)!);
  assertEquals(take(choice, workers, tokens(4), 10), "busy");
  for (const { end } of given) end();
  assertEquals(take(choice, workers, tokens(4), 10), "idle");
  assertEquals(take(choice, workers, tokens(4), 9), "short");
  assertEquals(take(choice, workers, tokens(4), 101), undefined);
});

Deno.test("WorkerChoice: a worker is given few sequences until it tells of them", () => {
  const choice = new WorkerChoice();
  const given = (running: number) => choice.take([worker("one", { running })], tokens(4), 10);
  const taken = [given(0), given(0), given(0), given(0)];
  assertEquals([taken.every((it) => it !== undefined), given(0)], [true, undefined]);
  assertEquals([given(1)?.id, given(1)], ["one", undefined]);
  taken[0]?.end();
  assertEquals(given(1)?.id, "one");
});

Deno.test("WorkerChoice: who has whole pages of the prompt comes first, until it is forgotten", () => {
  const choice = new WorkerChoice();
  const workers = [
    worker("idle", {}),
    worker("had", { running: 1 }),
    worker("more", { running: 2 }),
  ];
  take(choice, [worker("had", {})], tokens(33, 7), 40);
  take(choice, [worker("more", {})], tokens(70, 7), 80);
  assertEquals(take(choice, workers, tokens(32, 8), 40), "idle");
  assertEquals(take(choice, workers, tokens(33, 8), 40), "had");
  assertEquals(take(choice, workers, tokens(65, 8), 70), "more");
  choice.forget("more");
  assertEquals(take(choice, workers, tokens(65, 8), 70), "had");
});

Deno.test("loadOf(): who waits for nothing but the next step runs already", () => {
  const stats = { places: 8, running: 5, waiting: 4, pages: { available: 7 } };
  assertEquals(loadOf(stats), { running: 8, waiting: 1 });
  assertEquals(loadOf({ ...stats, waiting: 2 }), { running: 7, waiting: 0 });
  assertEquals(loadOf({ ...stats, pages: undefined }), { running: 8, waiting: 1 });
  assertEquals(loadOf({ ...stats, pages: { available: 0 } }), { running: 5, waiting: 4 });
  // An engine that began anew may have fewer places than it runs.
  assertEquals(loadOf({ ...stats, places: 4 }), { running: 5, waiting: 4 });
});
