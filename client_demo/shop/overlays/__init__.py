"""In-app messages, rendered natively on top of the app. `presenter.Presenter` is the way in."""
