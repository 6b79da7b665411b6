/** From messages to a prompt, by the template of the model's own tokenizer_config.json. */
import { Template } from "@huggingface/jinja";
import { ApiError } from "./api_error.ts";

/** A message of a chat. */
export interface ChatMessage {
  role: string;
  content: string;
}

/** Fields of tokenizer_config.json that a template may need. */
interface TokenizerConfig {
  chat_template?: string | readonly { name: string; template: string }[];
  bos_token?: Special;
  eos_token?: Special;
  pad_token?: Special;
  unk_token?: Special;
}

type Special = string | { content: string } | null;

/** A chat template. */
export class ChatTemplate {
  readonly #template: Template;
  readonly #specials: Readonly<Record<string, string>>;

  private constructor(template: string, specials: Readonly<Record<string, string>>) {
    this.#template = new Template(template);
    this.#specials = specials;
  }

  /**
   * Reads the template; undefined if there is none, as with models that were not trained to chat.
   *
   * @param config The parsed tokenizer_config.json.
   * @param text The template itself, as the file chat_template.jinja beside it has it; it wins.
   */
  static of(config: TokenizerConfig | undefined, text?: string): ChatTemplate | undefined {
    const named = config?.chat_template;
    const template = text ??
      (typeof named === "string" ? named : named?.find(({ name }) => name === "default")?.template);
    if (template === undefined) return undefined;
    const specials: Record<string, string> = {};
    for (const name of ["bos_token", "eos_token", "pad_token", "unk_token"] as const) {
      const token = config?.[name];
      if (token) specials[name] = typeof token === "string" ? token : token.content;
    }
    return new ChatTemplate(template, specials);
  }

  /**
   * The prompt after which the model writes the next message.
   *
   * @throws {ApiError} If the template refuses the messages, such as two of one role in a row.
   */
  render(messages: readonly ChatMessage[]): string {
    try {
      return this.#template.render({
        ...this.#specials,
        messages: messages.map((message) => ({ ...message })),
        add_generation_prompt: true,
      });
    } catch (error) {
      const { message } = error as Error;
      throw new ApiError(400, `the model's chat template refuses the messages: ${message}`, {
        param: "messages",
      });
    }
  }
}
