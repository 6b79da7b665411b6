// Decoders whose caches store integers of calibrated or rotated keys and values.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Decoder, type DecoderOptions } from "../../src/model/mod.ts";
import { sharedGpu } from "../support/gpu.ts";
import { TINY, weightsOf } from "../support/models.ts";
import { testRandomly } from "../support/random.ts";
import { Tensors } from "../support/run.ts";

const SPEC = {
  ...{ ...TINY, vocabSize: 50, dim: 32, hiddenDim: 48, numHeads: 4, numKvHeads: 2, headDim: 8 },
  ...{ contextLen: 64, layers: [{ rope: {} }, { rope: {} }] },
};

testRandomly(
  "calibrated decoders: nearer to f32 than the same bits as they are",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const weights = weightsOf(SPEC, random);
    const create = async (options: DecoderOptions = {}) =>
      tensors.keep(await Decoder.create(gpu, SPEC, weights, options));
    const exact = await create();
    await assertRejects(() => exact.calibrate(), RangeError, "the cache is empty");
    const ids = Array.from({ length: 24 }, () => random.integer(0, SPEC.vocabSize - 1));
    const expected = await exact.forward(ids);
    const kvCalibration = await exact.calibrate();
    assertEquals(kvCalibration.length, SPEC.layers.length);
    // Plain data.
    assertEquals(JSON.parse(JSON.stringify(kvCalibration)), kvCalibration);

    const errorOf = async (options: DecoderOptions) => {
      const logits = await (await create(options)).forward(ids);
      return Math.sqrt(logits.reduce((sum, x, i) => sum + (x - expected[i]) ** 2, 0));
    };
    const [plain, calibrated, rotated, eight] = [
      await errorOf({ kvDtype: "int4" }),
      await errorOf({ kvDtype: "int4", kvCalibration }),
      await errorOf({ kvDtype: "int4", kvRotation: "hadamard" }),
      await errorOf({ kvDtype: "int8", kvCalibration }),
    ];
    const what = JSON.stringify({ plain, calibrated, rotated, eight });
    assert(eight > 0 && eight < calibrated / 4 && calibrated < 1.2 * plain, what);
    assert(rotated > 0 && rotated < 2 * plain, what);

    const withCalibrations = (calibrations: unknown) => () =>
      create({ kvDtype: "int4", kvCalibration: calibrations as typeof kvCalibration });
    const tooFew = withCalibrations(kvCalibration.slice(1));
    await assertRejects(tooFew, RangeError, "kvCalibration must have a calibration for each layer");
    for (const wrong of [{}, kvCalibration[0], 2, null]) {
      const message = "kvCalibration must be an array";
      await assertRejects(withCalibrations(wrong), TypeError, message);
    }
    await assertRejects(() => create({ kvCalibration }), RangeError, 'kvDtype="f32"');
    const transformed = await create({ kvDtype: "int8", kvRotation: "hadamard" });
    await transformed.feed(ids);
    await assertRejects(() => transformed.calibrate(), TypeError, 'kvRotation="hadamard"');
  },
);
