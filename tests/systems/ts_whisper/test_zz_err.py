import sys

sys.path.insert(0, "tests/systems/ts_whisper")
import numpy as np, torch, pytest
import test_parity as t

torch.set_num_threads(1)


def test_err(files, recipe):
    pub = dict(np.load(t.HERE / "published-small.npz"))
    worst = {}
    for kind in t.KINDS:
        s = t.system_of(kind, files)
        s.load("cpu")
        with torch.inference_mode(), s._told(t.told(recipe, 4)):
            mel = t.features(s, recipe, 4)
            h = s._network.model.encoder(mel).last_hidden_state
            fed = torch.cat([s._prefix(h), torch.from_numpy(recipe.text(4))], 1)
            lg = s._network.proj_out(s._network.model.decoder(input_ids=fed, encoder_hidden_states=h).last_hidden_state)
        for n, x in (("encoder", h), ("logits", lg)):
            p = pub[f"{kind} 4 {n}"]
            worst[kind, n] = float(np.abs(t.strided(x, 997) - p).max() / np.abs(p).max())
    print(
        worst,
        [
            float(np.abs(pub[f"{k} 4 encoder"] - pub["plain 4 encoder"]).max() / np.abs(pub["plain 4 encoder"]).max())
            for k in t.KINDS
        ],
    )
