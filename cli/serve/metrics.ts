/** The counts of the server, in Prometheus' text format. */
import type { EngineStats } from "../shared/generation/engine.ts";

/** Seconds by which requests are counted. */
const BOUNDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Counts requests by their status, and how long they took. */
export class Metrics {
  readonly #requests = new Map<number, number>();
  readonly #buckets = BOUNDS.map(() => 0);
  #count = 0;
  #seconds = 0;

  /** Counts a request. */
  count(status: number, seconds: number): void {
    this.#requests.set(status, (this.#requests.get(status) ?? 0) + 1);
    BOUNDS.forEach((bound, i) => {
      if (seconds <= bound) this.#buckets[i]++;
    });
    this.#count++;
    this.#seconds += seconds;
  }

  /** The text, with what is under way. */
  text({ running, waiting, pages, tokens, seconds: busy }: EngineStats): string {
    const metric = (name: string, type: string, help: string, lines: readonly string[]) => [
      ...[`# HELP onehead_${name} ${help}`, `# TYPE onehead_${name} ${type}`],
      ...lines.map((line) => `onehead_${name}${line}`),
    ];
    const requests = [...this.#requests].map(([status, count]) => `{status="${status}"} ${count}`);
    const seconds = [
      ...BOUNDS.map((bound, i) => `_bucket{le="${bound}"} ${this.#buckets[i]}`),
      `_bucket{le="+Inf"} ${this.#count}`,
      `_sum ${this.#seconds}`,
      `_count ${this.#count}`,
    ];
    return [
      ...metric("requests_total", "counter", "Requests by status.", requests),
      ...metric("request_seconds", "histogram", "Seconds from a request to its end.", seconds),
      ...metric("tokens_total", "counter", "Tokens of prompts, and generated ones.", [
        `{kind="prompt"} ${tokens.prompt}`,
        `{kind="generated"} ${tokens.generated}`,
      ]),
      ...metric("sequences", "gauge", "Sequences under way.", [
        `{state="running"} ${running}`,
        `{state="waiting"} ${waiting}`,
      ]),
      ...(pages
        ? metric("pages", "gauge", "Pages of the KV cache.", [
          `{state="held"} ${pages.total - pages.available}`,
          `{state="available"} ${pages.available}`,
        ])
        : []),
      ...metric("busy_seconds_total", "counter", "Seconds of work.", [` ${busy}`]),
      "",
    ].join("\n");
  }
}
